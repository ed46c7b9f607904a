// memjs: SASL in its binary protocol. HOST PORT USER PASSWORD.
const { Client } = require("memjs");

const [host, port, username, password] = process.argv.slice(2);
const client = (password) =>
  Client.create(`${host}:${port}`, { username, password, retries: 0, timeout: 5, logger: { log() {} } });

async function main() {
  const good = client(password);
  await good.set("memjs", "value", {});
  const { value } = await good.get("memjs");
  const got = await client("wrong").get("memjs").catch(() => ({ value: null }));
  process.exit(value && value.toString() === "value" && !got.value ? 0 : 1);
}

main();
