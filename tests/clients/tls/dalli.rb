# dalli over TLS, in its binary protocol. HOST PORT CA.
require "dalli"
require "openssl"

host, port, ca = ARGV
Dalli.logger.level = Logger::FATAL
context = OpenSSL::SSL::SSLContext.new
context.set_params(ca_file: ca, verify_mode: OpenSSL::SSL::VERIFY_PEER)
client = Dalli::Client.new("#{host}:#{port}", ssl_context: context, socket_timeout: 10)
values = (0...50).to_h { |number| ["dalli:#{number}", (97 + number % 26).chr * (number * 5003)] }
values.each { |key, value| client.set(key, value, 0, raw: true) }
# One by one: `get_multi` of 3.0.6 fails over TLS, whatever the server.
3.times do
  got = values.keys.to_h { |key| [key, client.get(key)] }
  abort "other values" unless got == values
end
abort "not added" unless client.add("dalli:new", "1", 0, raw: true)
abort "not counted" unless client.incr("dalli:new", 41) == 42
