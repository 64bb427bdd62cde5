# SPDX-License-Identifier: Apache-2.0
# loops.rb em|webrick serve PORT FILE | loops.rb KIND ask HOST PORT FILE: a server that returns what it is sent (webrick: the file), and
# a client that says the hash of what came.
require "digest"

def em_serve(port, _file)
  require "eventmachine"
  echo = Module.new { def receive_data(data) = send_data(data) }
  EventMachine.epoll
  EventMachine.run { EventMachine.start_server("0.0.0.0", port, echo) }
end

def em_ask(host, port, file)
  require "eventmachine"
  data = File.binread(file)
  client = Module.new do
    define_method(:post_init) { @sha, @got = Digest::SHA256.new, 0 }
    define_method(:connection_completed) { send_data(data) }
    define_method(:receive_data) { |d| @sha << d; @got += d.bytesize; close_connection if @got == data.bytesize }
    define_method(:unbind) { puts @sha.hexdigest; EventMachine.stop }
  end
  EventMachine.epoll
  EventMachine.run { EventMachine.connect(host, port, client) }
end

def webrick_serve(port, file)
  require "webrick"
  WEBrick::HTTPServer.new(BindAddress: "0.0.0.0", Port: port, DocumentRoot: File.dirname(file), AccessLog: [],
                          Logger: WEBrick::Log.new(File::NULL)).start
end

def webrick_ask(host, port, file)
  require "net/http"
  Net::HTTP.start(host, port) do |http|
    puts Array.new(5) { Digest::SHA256.hexdigest(http.get("/#{File.basename(file)}").body) }.uniq.join(" ")
  end
end

kind, what, *rest = ARGV
rest = what == "serve" ? [rest[0].to_i, rest[1]] : [rest[0], rest[1].to_i, rest[2]]
send("#{kind}_#{what}", *rest)
