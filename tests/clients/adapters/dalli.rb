# Ruby's dalli behind the words of loop.py:
#
#     ruby dalli.rb NAME HOST PORT PROTOCOL
require "dalli"

$stdout.sync = true
Dalli.logger.level = Logger::FATAL
_, HOST, $port = ARGV

def connect
  Dalli::Client.new("#{HOST}:#{$port}", socket_timeout: 30)
end

def call(client, command, keys)
  key = keys.first
  case command
  when "get", "delete" then client.public_send(command, key)
  when "gat", "touch" then client.public_send(command, key, 100)
  when "multi" then client.get_multi(*keys)
  when "set", "add", "replace" then client.public_send(command, key, "1", nil, raw: true)
  when "append", "incr", "decr" then client.public_send(command, key, *("1" if command == "append"))
  when "cas" then client.cas(key) { "1" }
  when "flush" then client.flush_all
  end
end

def told(command, keys, result)
  return "values #{keys.filter_map { |key| result[key] }.join(",")}" if command == "multi"
  return result.nil? ? "miss" : "value #{result}" if %w[get gat].include?(command)
  return "value #{result}" if result.is_a?(Integer) && %w[incr decr].include?(command)

  result ? "true" : "false"
end

client = connect
puts "ready #{Dalli::VERSION} get,multi,gat,set,add,replace,append,cas,incr,decr,delete,touch,flush"
$stdin.each_line do |line|
  command, *keys = line.split
  if command == "open"
    client.close
    $port = keys.first || $port
    client = connect
    puts "ok"
  else
    puts told(command, keys, call(client, command, keys))
  end
rescue StandardError => e
  puts "raised #{e.class}: #{e.message.split.join(" ")[0, 100]}"
end
