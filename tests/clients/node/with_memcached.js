// memcached (npm), as its README has it: the text protocol.
"use strict";

const { promisify } = require("node:util");
const Memcached = require("memcached");
const { address, run } = require("./tour");

const client = new Memcached(address, { timeout: 10000, retries: 0, maxValue: 1048576 });
const call = (name) => promisify(client[name]).bind(client);
const [set, get, gets, cas, incr, decr, touch, del] = ["set", "get", "gets", "cas", "incr", "decr", "touch", "del"].map(
  call,
);
const getMulti = call("getMulti");

run("memcached", {
  // It sends a Buffer in base64, which makes 900 KB too large.
  large: "text of ten".repeat(84000),
  set,
  get: async (key) => (await get(key)) ?? null,
  getMulti: async (keys) => new Map(Object.entries(await getMulti(keys))),
  gets: async (key) => {
    const found = await gets(key);
    return [found[key], found.cas];
  },
  cas: (key, value, token) => cas(key, value, token, 100),
  incr,
  decr,
  touch,
  delete: del,
});
