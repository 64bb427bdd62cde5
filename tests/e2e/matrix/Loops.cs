// SPDX-License-Identifier: Apache-2.0
// Loops serve PORT FILE | Loops ask HOST PORT FILE: on PORT a server that returns what it is sent, on PORT+1 the file by HTTP; both from
// mono's asynchronous sockets. Says the hashes of what came.
using System;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Threading.Tasks;

static class Loops
{
    static string Hash(byte[] data) => string.Concat(SHA256.Create().ComputeHash(data).Select(b => b.ToString("x2")));

    static async Task Echo(TcpClient c)
    {
        using (c)
            await c.GetStream().CopyToAsync(c.GetStream());
    }

    static async Task Accept(TcpListener l)
    {
        while (true) {
            var unused = Echo(await l.AcceptTcpClientAsync());
        }
    }

    static async Task Answer(HttpListener l, byte[] data)
    {
        while (true) {
            var c = await l.GetContextAsync();
            c.Response.ContentLength64 = data.Length;
            await c.Response.OutputStream.WriteAsync(data, 0, data.Length);
            c.Response.Close();
        }
    }

    static async Task<string> Echoed(string host, int port, byte[] data)
    {
        using (var c = new TcpClient()) {
            await c.ConnectAsync(host, port);
            var s = c.GetStream();
            var sent = s.WriteAsync(data, 0, data.Length).ContinueWith(t => c.Client.Shutdown(SocketShutdown.Send));
            var got = new MemoryStream();
            await s.CopyToAsync(got);
            await sent;
            return Hash(got.ToArray());
        }
    }

    static async Task<string> Fetched(string url)
    {
        using (var r = await WebRequest.Create(url).GetResponseAsync()) {
            var got = new MemoryStream();
            await r.GetResponseStream().CopyToAsync(got);
            return Hash(got.ToArray());
        }
    }

    static void Main(string[] args)
    {
        if (args[0] == "serve") {
            int port = int.Parse(args[1]);
            var l = new TcpListener(IPAddress.Any, port);
            var h = new HttpListener();
            h.Prefixes.Add($"http://*:{port + 1}/");
            h.Start();
            l.Start();
            Task.WaitAll(Accept(l), Answer(h, File.ReadAllBytes(args[2])));
        } else {
            int port = int.Parse(args[2]);
            var data = File.ReadAllBytes(args[3]);
            var all = Enumerable.Range(0, 3).Select(i => Echoed(args[1], port, data))
                .Concat(Enumerable.Range(0, 3).Select(i => Fetched($"http://{args[1]}:{port + 1}/file")));
            Console.WriteLine(string.Join(" ", Task.WhenAll(all).Result.Distinct()));
        }
    }
}
