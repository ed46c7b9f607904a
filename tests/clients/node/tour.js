// The same tour for every client library: what a cache is for, through whatever methods the library has.
//
// A script gives an object of async functions around the library's own calls:
//
//     set(key, value, ttl)   get(key) -> Buffer or null     getMulti(keys) -> Map of those found
//     delete(key) -> bool    touch(key, ttl) -> bool        gets(key) -> [value, token]
//     incr(key, by), decr(key, by) -> the new number        cas(key, value, token) -> bool
//     large: a value of 900 KB, where the library does not take a Buffer of that size
//
// A function that is not there is a step that the library cannot take; the tour leaves it out. It prints
// `version` and the library's, then `ok` and a name for each step that held.
"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");
const path = require("node:path");

const namespace = "ringway-" + crypto.randomBytes(6).toString("hex");
// Every byte, and what a text protocol could take for its own.
const binary = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  Buffer.from("\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0"),
]);

const [host, port] = process.argv.slice(2);
exports.address = `${host}:${port}`;

// Runs the tour and ends the process.
exports.run = (library, cache) => {
  const { version } = require(path.join(process.env.NODE_PATH, library, "package.json"));
  console.log("version", version);
  tour(cache).then(
    () => process.exit(0),
    (error) => {
      console.error(`${library}: ${error.message}`);
      process.exit(1);
    },
  );
};

async function tour(cache) {
  await values(cache);
  await many(cache);
  if (cache.cas) await compareAndSet(cache);
  if (cache.incr) await numbers(cache);
  await deletion(cache);
  await ends(cache);
}

async function values(cache) {
  await cache.set(key("text"), Buffer.from("some text"), 100);
  equal("get", await cache.get(key("text")), Buffer.from("some text"));
  equal("get of nothing", await cache.get(key("nothing")), null);
  tried("set", "get");
  await cache.set(key("bytes"), binary, 100);
  equal("get of every byte", await cache.get(key("bytes")), binary);
  tried("binary-safe");
  const large = cache.large ?? crypto.randomBytes(900 * 1024);
  await cache.set(key("large"), large, 100);
  equal("get of 900 KB", await cache.get(key("large")), large);
  tried("900 KB");
}

async function many(cache) {
  const wanted = new Map();
  for (let i = 0; i < 100; i++) wanted.set(key(`many:${i}`), Buffer.from(`value ${i}`));
  await Promise.all([...wanted].map(([name, value]) => cache.set(name, value, 100)));
  const found = cache.getMulti
    ? await cache.getMulti([...wanted.keys(), key("nothing")])
    : new Map(await Promise.all([...wanted.keys()].map(async (name) => [name, await cache.get(name)])));
  equal("as many as were stored", found.size, wanted.size);
  for (const [name, value] of wanted) equal(`one of many, ${name}`, found.get(name), value);
  tried(cache.getMulti ? "multi-get" : "pipelined gets");
}

async function compareAndSet(cache) {
  await cache.set(key("cas"), Buffer.from("first"), 100);
  const [value, token] = await cache.gets(key("cas"));
  equal("gets", value, Buffer.from("first"));
  equal("cas", await cache.cas(key("cas"), Buffer.from("second"), token), true);
  equal("cas with an old token", await cache.cas(key("cas"), Buffer.from("third"), token), false);
  equal("get after cas", await cache.get(key("cas")), Buffer.from("second"));
  tried("cas");
}

async function numbers(cache) {
  await cache.set(key("number"), "10", 100);
  equal("incr", await cache.incr(key("number"), 32), 42);
  equal("decr", await cache.decr(key("number"), 2), 40);
  equal("decr stops at 0", await cache.decr(key("number"), 100), 0);
  tried("incr", "decr");
}

async function deletion(cache) {
  await cache.set(key("deleted"), Buffer.from("v"), 100);
  equal("delete", await cache.delete(key("deleted")), true);
  equal("get of the deleted", await cache.get(key("deleted")), null);
  equal("delete of nothing", await cache.delete(key("deleted")), false);
  tried("delete");
}

// Keys that end after a second, that are told to, and that were to end and are told to stay.
async function ends(cache) {
  const value = Buffer.from("v");
  await cache.set(key("stays"), value, 3);
  await cache.set(key("gone"), value, 1);
  await cache.set(key("shortened"), value, 100);
  if (cache.touch) {
    equal("touch to stay", await cache.touch(key("stays"), 100), true);
    equal("touch to end", await cache.touch(key("shortened"), 1), true);
    equal("touch of nothing", await cache.touch(key("nothing"), 100), false);
  }
  await cache.set(key("last"), value, 3);
  await vanishes(cache, "gone");
  tried("expire");
  if (!cache.touch) return;
  await vanishes(cache, "shortened");
  await vanishes(cache, "last");
  equal("get of what was touched to stay", await cache.get(key("stays")), value);
  tried("touch");
}

async function vanishes(cache, name) {
  const end = Date.now() + 10000;
  while ((await cache.get(key(name))) !== null) {
    assert(Date.now() < end, `${name}: still there after 10 s`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

function key(name) {
  return `${namespace}:${name}`;
}

function equal(what, got, wanted) {
  const isEqual = Buffer.isBuffer(got) && Buffer.isBuffer(wanted) ? got.equals(wanted) : got === wanted;
  assert(isEqual, `${what}: got ${shown(got)}, wanted ${shown(wanted)}`);
}

function shown(value) {
  const text = Buffer.isBuffer(value) ? `${value.length} bytes ${value.toString("latin1")}` : String(value);
  return JSON.stringify(text.slice(0, 200));
}

function tried(...steps) {
  for (const name of steps) console.log("ok", name);
}
