const path = require('path');

module.exports = {
  apps: [
    {
      name: 'scanner',
      script: path.join(__dirname, '.venv/bin/uvicorn'),
      args: `scanner.main:app --host 0.0.0.0 --port ${process.env.PORT || 8030}`,
      interpreter: 'none',
      cwd: __dirname,
      instances: 1,
      autorestart: true,
      max_restarts: 999999,
      env: { PYTHONPATH: __dirname },
    },
  ],
};
