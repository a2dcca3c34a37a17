// How PM2 runs node_app.js, with what its documentation recommends for reloads without loss.
module.exports = {
  apps: [
    {
      name: "bench",
      script: `${__dirname}/node_app.js`,
      exec_mode: "cluster",
      instances: Number(process.env.BENCH_WORKERS),
      wait_ready: true,
      kill_timeout: 10000,
      env: { BENCH_PORT: process.env.BENCH_PORT },
    },
  ],
};
