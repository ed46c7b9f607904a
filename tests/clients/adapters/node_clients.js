// Node's client libraries behind the words of loop.py:
//
//     node node_clients.js NAME HOST PORT PROTOCOL
"use strict";

const readline = require("node:readline");
const { promisify } = require("node:util");

const [name, host, port] = process.argv.slice(2);
let address = `${host}:${port}`;
const connectors = { memcached, "memcache-client": memcacheClient, "memcache-plus": memcachePlus, memjs };

function memcached() {
  const Memcached = require("memcached");
  const client = new Memcached(address, { timeout: 30000 });
  const call = (command) => promisify(client[command]).bind(client);
  const store = (command) => (key) => call(command)(key, "1", 100);
  return {
    get: call("get"),
    multi: call("getMulti"),
    set: store("set"),
    add: store("add"),
    replace: store("replace"),
    append: (key) => call("append")(key, "1"),
    cas: async (key) => call("cas")(key, "1", (await call("gets")(key)).cas, 100),
    incr: (key) => call("incr")(key, 1),
    decr: (key) => call("decr")(key, 1),
    delete: call("del"),
    touch: (key) => call("touch")(key, 100),
    flush: call("flush"),
    close: () => client.end(),
  };
}

function memcacheClient() {
  const { MemcacheClient } = require("memcache-client");
  const client = new MemcacheClient({ server: address, cmdTimeout: 30000 });
  const done = (command) => async (key) => {
    await client[command](key, "1");
    return true;
  };
  return {
    get: async (key) => (await client.get(key))?.value,
    multi: async (keys) =>
      Object.fromEntries(Object.entries(await client.get(keys)).map(([key, item]) => [key, item.value])),
    set: done("set"),
    add: done("add"),
    replace: done("replace"),
    append: done("append"),
    cas: async (key) => (await client.cas(key, "1", { casUniq: (await client.gets(key)).casUniq })) && true,
    incr: (key) => client.incr(key, 1),
    decr: (key) => client.decr(key, 1),
    delete: async (key) => (await client.delete(key)) && true,
    touch: async (key) => (await client.touch(key, 100)) && true,
    close: () => client.shutdown(),
  };
}

function memcachePlus() {
  const MemcachePlus = require("memcache-plus");
  const client = new MemcachePlus({ hosts: [address], netTimeout: 30000 });
  // It says nothing of a success.
  const done = async (answer) => (await answer) ?? true;
  const store = (command) => (key) => done(client[command](key, "1", 100));
  return {
    get: (key) => client.get(key),
    multi: (keys) => client.getMulti(keys),
    set: store("set"),
    add: store("add"),
    replace: store("replace"),
    append: store("append"),
    // No cas: its gets of a key that is not there ends the process, with any server.
    incr: (key) => client.incr(key, 1),
    decr: (key) => client.decr(key, 1),
    delete: (key) => client.delete(key),
    flush: () => done(client.flush()),
    close: () => client.disconnect(),
  };
}

function memjs() {
  const { Client } = require("memjs");
  const client = Client.create(address, { timeout: 30, conntimeout: 30, retries: 0, logger: { log() {} } });
  const store = (command) => (key) => client[command](key, "1", { expires: 100 });
  const number = async (answer) => (({ success, value }) => success && String(value))(await answer);
  return {
    get: async (key) => (await client.get(key)).value,
    set: store("set"),
    add: store("add"),
    replace: store("replace"),
    append: (key) => client.append(key, "1"),
    incr: (key) => number(client.increment(key, 1, { initial: 0 })),
    decr: (key) => number(client.decrement(key, 1, { initial: 0 })),
    delete: (key) => client.delete(key),
    touch: (key) => client.touch(key, 100),
    flush: async () => Object.values(await client.flush()).every(Boolean),
    close: () => client.close(),
  };
}

function told(command, keys, result) {
  // What was not found is left out by one library, and null in another.
  if (command === "multi") return "values " + keys.map((key) => result[key]).filter((value) => value ?? false).join(",");
  if (command === "get") return result === undefined || result === null ? "miss" : `value ${result}`;
  if ((command === "incr" || command === "decr") && result) return `value ${result}`;
  return result ? "true" : "false";
}

async function main() {
  let client = connectors[name]();
  const { version } = require(`${name}/package.json`);
  console.log(`ready ${version} ${Object.keys(client).filter((command) => command !== "close")}`);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...keys] = line.split(" ");
    try {
      if (command === "open") {
        client.close();
        if (keys.length > 0) address = `${host}:${keys[0]}`;
        client = connectors[name]();
        console.log("ok");
      } else {
        console.log(told(command, keys, await client[command](...(command === "multi" ? [keys] : keys))));
      }
    } catch (error) {
      const text = String(error?.message ?? error).split(/\s+/).join(" ");
      console.log(`raised ${error?.name ?? "error"}: ${text.slice(0, 100)}`);
    }
  }
  process.exit(0);
}

main();
