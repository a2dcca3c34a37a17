// Messages between the workers of Node's cluster, where they go through the primary: node messages.js WHAT WORKERS COUNT
"use strict";
const cluster = require("cluster");
const [what, workers, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const DATA = { user: 4711, text: "hello to everybody who listens", tags: ["a", "b"] };
const CHUNK = 500; // messages after which the sender waits until they are written

function primary() {
  const all = Array.from({ length: workers }, (_, slot) => cluster.fork({ SLOT: slot }));
  let online = 0;
  for (const worker of all) {
    worker.on("message", message => {
      if (message.ready) return ++online === workers && all[0].send({ go: true });
      if (message.result) {
        console.log(JSON.stringify(message.result));
        process.exit(0);
      }
      for (const to of message.to === "all" ? all : [all[message.to]]) to.send(message);
    });
  }
}

const send = message => new Promise(resolve => process.send(message, resolve));
const seconds = started => Number(process.hrtime.bigint() - started) / 1e9;

async function flood(to, last) {
  for (let number = 1; number < count; number++) {
    if (number % CHUNK) process.send({ to, from: 0, data: DATA });
    else await send({ to, from: 0, data: DATA });
  }
  await send({ to, from: 0, data: DATA, last });
}

let answered = () => {};
const answer = () => new Promise(resolve => { answered = resolve; });

const measure = {
  async flood() {
    const started = process.hrtime.bigint(), done = answer();
    await flood(1, true);
    await done;
    return { rate: count / seconds(started) };
  },
  async latency() {
    const latencies = [];
    for (let number = 0; number < count; number++) {
      const started = process.hrtime.bigint(), done = answer();
      process.send({ to: 1, from: 0, data: DATA, last: true });
      await done;
      latencies.push(seconds(started) / 2);
      await new Promise(resolve => setTimeout(resolve, 1));
    }
    return { latencies };
  },
  async broadcast() {
    let left = workers;
    const started = process.hrtime.bigint();
    const done = new Promise(resolve => { answered = () => --left || resolve(); });
    await flood("all", true);
    await done;
    return { rate: count / seconds(started) };
  },
};

function worker() {
  process.on("message", async message => {
    if (message.go) process.send({ result: await measure[what]() });
    else if (message.answer) answered();
    else if (message.last) process.send({ to: message.from, answer: true, data: DATA });
  });
  process.send({ ready: true });
}

cluster.isPrimary ? primary() : worker();
