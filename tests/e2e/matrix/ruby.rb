# SPDX-License-Identifier: Apache-2.0
# ruby.rb thread|fork PORT FILE      a server that reads a line and answers with the file
# ruby.rb get HOST PORT N SHA256     N clients of it at once
require 'digest/sha2' # whole: threads that load it at their first use meet a class without its methods
require 'socket'

def answer(conn, path)
  raise 'no line' unless conn.gets == "give\n"
  File.open(path, 'rb') { |f| IO.copy_stream(f, conn) }
  conn.close
end

mode, *arg = ARGV
case mode
when 'thread'
  server = TCPServer.new('0.0.0.0', arg[0].to_i)
  loop { Thread.new(server.accept) { |c| answer(c, arg[1]) } }
when 'fork'
  server = TCPServer.new(arg[0].to_i)
  loop do
    conn = server.accept
    Process.detach(fork { server.close; answer(conn, arg[1]) })
    conn.close
  end
when 'get'
  host, port, count, want = arg
  bad = Array.new(count.to_i) do |i|
    Thread.new do
      s = i.even? ? TCPSocket.new(host, port) : Socket.tcp(host, port, connect_timeout: 20)
      s.puts 'give'
      s.close_write
      data = +''
      begin
        loop { data << s.read_nonblock(65_536) }
      rescue IO::WaitReadable
        IO.select([s])
        retry
      rescue EOFError
        s.close
      end
      Digest::SHA256.hexdigest(data) == want
    end
  end.count { |t| !t.value }
  abort "#{bad} hashes are wrong" if bad > 0
end
