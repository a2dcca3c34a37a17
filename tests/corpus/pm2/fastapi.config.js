module.exports = {
  apps: [{
    name: "fastapi",
    script: "/srv/api/.venv/bin/uvicorn",
    args: "main:app --host 0.0.0.0 --port 8000",
    interpreter: "none",
    cwd: "/srv/api",
    instances: 1,
    autorestart: true,
    watch: false,
    max_memory_restart: "1G",
    env: { PYTHONUNBUFFERED: "1", APP_ENV: "production" },
  }],
};
