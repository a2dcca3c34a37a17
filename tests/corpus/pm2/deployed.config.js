module.exports = {
  apps: [{
    name: 'deployed',
    script: 'venv/bin/uvicorn',
    args: 'deployed.asgi:app --port 8020',
    interpreter: 'none',
    instances: 1,
    autorestart: true,
    watch: false,
    max_memory_restart: '1G',
    env: { ENV: 'production' },
  }],
  deploy: {
    production: {
      user: 'deploy',
      host: ['server.example'],
      ref: 'origin/main',
      repo: 'git@git.example:deployed.git',
      path: '/srv/deployed',
      'post-deploy': 'venv/bin/pip install -r requirements.txt && pm2 reload deployed',
    },
  },
};
