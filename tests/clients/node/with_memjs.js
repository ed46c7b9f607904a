// memjs, as its README has it: the binary protocol.
"use strict";

const memjs = require("memjs");
const { address, run } = require("./tour");

const client = memjs.Client.create(address, { timeout: 10, conntimeout: 10, retries: 0 });
const number = ({ value }) => Number(value);

run("memjs", {
  set: (key, value, expires) => client.set(key, value, { expires }),
  get: async (key) => (await client.get(key)).value,
  incr: async (key, by) => number(await client.increment(key, by, { initial: 0 })),
  decr: async (key, by) => number(await client.decrement(key, by, { initial: 0 })),
  touch: (key, ttl) => client.touch(key, ttl),
  delete: (key) => client.delete(key),
});
