module.exports = {
  apps: [
    {
      name: 'backend',
      script: 'venv/bin/uvicorn',
      args: ['app.main:app', '--host', '127.0.0.1', '--port', '8001'],
      interpreter: 'none',
      cwd: './backend',
      restart_delay: 3000,
      max_restarts: 10,
      min_uptime: '10s',
      env: { DATABASE_URL: 'sqlite:///data.db' },
    },
    {
      name: 'frontend',
      script: 'npm',
      args: 'start',
      cwd: './frontend',
      env: { PORT: 3000 },
    },
  ],
};
