// The application of the peers that run on Node: the same paths as apps.py has, as far as they are asked for there.
"use strict";
const http = require("http");

const server = http.createServer((request, response) => {
  const answer = () => response.end(String(process.pid));
  const seconds = { "/wait": 0.01, "/slow": 0.5 }[request.url];
  seconds ? setTimeout(answer, seconds * 1000) : answer();
});
server.listen(Number(process.env.BENCH_PORT), "127.0.0.1", () => process.send && process.send("ready"));
// What PM2's documentation asks of an application that is to be reloaded without losing requests.
process.on("SIGINT", () => server.close(() => process.exit(0)));
