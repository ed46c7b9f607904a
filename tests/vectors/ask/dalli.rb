# Asks dalli's own ring where keys go; reads and writes as Spymemcached.java does, but a node's state (`up` or `down`) stands
# behind its weight.
require 'dalli'

# What a ring asks of a server.
Server = Struct.new(:name, :weight, :alive, :index) do
  def alive?
    alive
  end
end

input = $stdin
keys = Array.new(input.gets.split[1].to_i) { [input.gets.strip].pack('H*') }
while (line = input.gets)
  servers = Array.new(line.split[2].to_i) do |index|
    _, address, port, weight, state = input.gets.split
    Server.new("#{address}:#{port}", weight.to_i, state != 'down', index)
  end
  ring = Dalli::Ring.new(servers, threadsafe: false)
  puts(keys.map { |key|
    begin
      ring.server_for_key(key).index
    rescue Dalli::RingError
      -1
    end
  }.join(' '))
end
