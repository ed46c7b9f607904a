# Ruby's dalli, as its README has it: the binary protocol.
#
#     ruby with_dalli.rb 127.0.0.1 11211
#
# It prints `version` and the library's, then `ok` and a name for each step that held.
require "dalli"
require "securerandom"

$stdout.sync = true
Dalli.logger.level = Logger::ERROR
HOST, PORT = ARGV
CLIENT = Dalli::Client.new("#{HOST}:#{PORT}", namespace: "ringway-#{SecureRandom.hex(6)}", socket_timeout: 10)
# Every byte, and what a text protocol could take for its own.
BINARY = ((0..255).to_a.pack("C*") + "\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0").b
LARGE = SecureRandom.random_bytes(900 * 1024)

def values
  holds "set", CLIENT.set("text", "some text", 100)
  equal "get", CLIENT.get("text"), "some text"
  equal "get of nothing", CLIENT.get("nothing"), nil
  tried "set", "get"
  CLIENT.set("bytes", BINARY, 100)
  equal "get of every byte", CLIENT.get("bytes"), BINARY
  CLIENT.set("raw", BINARY, 100, raw: true)
  equal "get of every byte, raw", CLIENT.get("raw", raw: true).b, BINARY
  tried "binary-safe"
  CLIENT.set("large", LARGE, 100)
  equal "get of 900 KB", CLIENT.get("large"), LARGE
  tried "900 KB"
end

def many
  wanted = (0...100).to_h { |i| ["many:#{i}", "value #{i}"] }
  # Quiet sets, and one noop at the end.
  CLIENT.multi { wanted.each { |name, value| CLIENT.set(name, value, 100) } }
  equal "get_multi of 100 and a miss", CLIENT.get_multi(*wanted.keys, "nothing"), wanted
  tried "quiet sets", "multi-get"
end

def compare_and_set
  CLIENT.set("cas", "first", 100)
  value, token = CLIENT.get_cas("cas")
  equal "get_cas", value, "first"
  holds "set_cas", CLIENT.set_cas("cas", "second", token, 100)
  equal "set_cas with an old token", CLIENT.set_cas("cas", "third", token, 100), false
  equal "get after set_cas", CLIENT.get("cas"), "second"
  holds "cas with a block", CLIENT.cas("cas", 100) { |old| "#{old} and third" }
  equal "get after cas", CLIENT.get("cas"), "second and third"
  equal "cas of nothing", CLIENT.cas("nothing") { "x" }, nil
  _, token = CLIENT.get_cas("cas")
  equal "delete_cas with an old token", CLIENT.delete_cas("cas", token - 1), false
  equal "delete_cas", CLIENT.delete_cas("cas", token), true
  tried "cas"
end

def numbers
  equal "incr of nothing", CLIENT.incr("number", 1), nil
  equal "incr with an initial value", CLIENT.incr("number", 1, 100, 10), 10
  equal "incr", CLIENT.incr("number", 32), 42
  equal "decr", CLIENT.decr("number", 2), 40
  equal "decr stops at 0", CLIENT.decr("number", 100), 0
  tried "incr", "decr"
end

def conditions
  equal "replace of nothing", CLIENT.replace("condition", "a"), 0
  holds "add", CLIENT.add("condition", "b", 100, raw: true)
  equal "add again", CLIENT.add("condition", "c"), false
  holds "replace", CLIENT.replace("condition", "d", 100, raw: true)
  holds "append", CLIENT.append("condition", "e")
  holds "prepend", CLIENT.prepend("condition", "c")
  equal "after all", CLIENT.get("condition", raw: true), "cde"
  equal "fetch", CLIENT.fetch("fetched", 100) { "made" }, "made"
  equal "get of what was fetched", CLIENT.get("fetched"), "made"
  tried "add", "replace", "append"
end

def deletion
  CLIENT.set("deleted", "v", 100)
  equal "delete", CLIENT.delete("deleted"), true
  equal "get of the deleted", CLIENT.get("deleted"), nil
  equal "delete of nothing", CLIENT.delete("deleted"), nil
  tried "delete"
end

# Keys that end after a second, that are told to, and that were to end and are told to stay.
def ends
  CLIENT.set("stays", "v", 3)
  CLIENT.set("gone", "v", 1)
  CLIENT.set("shortened", "v", 100)
  equal "gat to stay", CLIENT.gat("stays", 100), "v"
  equal "touch to end", CLIENT.touch("shortened", 1), true
  equal "touch of nothing", CLIENT.touch("nothing", 100), nil
  CLIENT.set("last", "v", 3)
  vanishes "gone"
  tried "expire"
  vanishes "shortened"
  vanishes "last"
  equal "get of what was touched to stay", CLIENT.get("stays"), "v"
  tried "touch", "gat"
end

def server
  holds "stats have pid", CLIENT.stats.values.first.key?("pid")
  holds "version", CLIENT.version.values.first
  CLIENT.flush
  equal "get after flush", CLIENT.get("text"), nil
  tried "stats", "flush"
end

def vanishes(name)
  deadline = Time.now + 10
  sleep 0.05 while CLIENT.get(name) && Time.now < deadline
  equal "get of #{name}", CLIENT.get(name), nil
end

def equal(what, got, wanted)
  abort "dalli: #{what}: got #{got.inspect[0, 200]}, wanted #{wanted.inspect[0, 200]}" unless got == wanted
end

def holds(what, claim)
  abort "dalli: #{what}: got #{claim.inspect[0, 200]}" unless claim
end

def tried(*steps)
  steps.each { |step| puts "ok #{step}" }
end

puts "version #{Dalli::VERSION}"
values
many
compare_and_set
numbers
conditions
deletion
ends
server
