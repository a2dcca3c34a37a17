module.exports = {
  apps: [
    {
      name: 'flask',
      script: './venv/bin/gunicorn',
      args: '-w 2 -b 127.0.0.1:5000 app:app',
      interpreter: 'none',
      cwd: '/var/www/flask',
      error_file: '/var/log/pm2/flask.err.log',
      out_file: '/var/log/pm2/flask.out.log',
      merge_logs: true,
    },
  ],
};
