// 45 % limit the memory
module.exports = {
  apps: [
    {
      name: 'tutor',
      script: 'main.py',
      interpreter: './venv/bin/python',
      cwd: '.',
      instances: 1,
      autorestart: true,
      watch: false,
      max_memory_restart: '1G',
      env: { PYTHONUNBUFFERED: '1' },
    },
  ],
};
