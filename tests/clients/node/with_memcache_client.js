// memcache-client, as its README has it: the text protocol.
"use strict";

const { MemcacheClient } = require("memcache-client");
const { address, run } = require("./tour");

const client = new MemcacheClient({ server: address, cmdTimeout: 10000 });
// A refusal is raised, with the answer as its message.
const done = (call, refusal) =>
  call.then(
    () => true,
    (error) => {
      if (error.message.includes(refusal)) return false;
      throw error;
    },
  );

run("memcache-client", {
  set: (key, value, lifetime) => client.set(key, value, { lifetime }),
  get: async (key) => (await client.get(key))?.value ?? null,
  getMulti: async (keys) => {
    const found = await client.get(keys);
    return new Map(Object.entries(found).map(([name, item]) => [name, item.value]));
  },
  gets: async (key) => {
    const item = await client.gets(key);
    return [item.value, item.casUniq];
  },
  cas: (key, value, casUniq) => done(client.cas(key, value, { casUniq }), "EXISTS"),
  incr: async (key, by) => Number(await client.incr(key, by)),
  decr: async (key, by) => Number(await client.decr(key, by)),
  touch: (key, ttl) => done(client.touch(key, ttl), "NOT_FOUND"),
  delete: (key) => done(client.delete(key), "NOT_FOUND"),
});
