# dalli: SASL in its binary protocol. HOST PORT USER PASSWORD.
require "dalli"

host, port, user, password = ARGV
Dalli.logger.level = Logger::FATAL
good = Dalli::Client.new("#{host}:#{port}", username: user, password: password)
good.set("dalli", "value")
abort "read #{good.get("dalli")}" unless good.get("dalli") == "value"
begin
  got = Dalli::Client.new("#{host}:#{port}", username: user, password: "wrong").get("dalli")
rescue Dalli::DalliError
  got = nil
end
abort "let in" if got
