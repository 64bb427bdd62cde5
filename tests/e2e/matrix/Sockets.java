// SPDX-License-Identifier: Apache-2.0
// Servers of a file and clients that hash it, each with another of Java's ways to use sockets.
//   Sockets http|nio|threads PORT FILE
//   Sockets get-http|get-nio|get-threads HOST PORT COUNT SHA256

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

public class Sockets {
    static void serveHttp(int port, Path file) throws IOException {
        HttpServer s = HttpServer.create(new InetSocketAddress(port), 50);
        s.createContext("/", x -> {
            x.sendResponseHeaders(200, Files.size(file));
            try (var out = x.getResponseBody()) {
                Files.copy(file, out);
            }
        });
        s.setExecutor(Executors.newFixedThreadPool(4));
        s.start();
    }

    static void serveNio(int port, Path file) throws IOException {
        Selector all = Selector.open();
        ServerSocketChannel s = ServerSocketChannel.open().bind(new InetSocketAddress(port));
        s.configureBlocking(false);
        s.register(all, SelectionKey.OP_ACCEPT);
        FileChannel from = FileChannel.open(file);
        for (;;) {
            all.select(k -> {
                try {
                    if (k.isAcceptable()) {
                        SocketChannel c = s.accept();
                        if (c == null)
                            return;
                        c.configureBlocking(false);
                        c.register(all, SelectionKey.OP_WRITE, new long[1]);
                    } else {
                        long[] at = (long[]) k.attachment();
                        at[0] += from.transferTo(at[0], from.size() - at[0], (SocketChannel) k.channel());
                        if (at[0] == from.size())
                            k.channel().close();
                    }
                } catch (IOException e) {
                    throw new RuntimeException(e);
                }
            });
        }
    }

    static void serveThreads(int port, Path file) throws IOException {
        ServerSocket s = new ServerSocket(port);
        for (;;) {
            Socket c = s.accept();
            new Thread(() -> {
                try (c; var out = c.getOutputStream()) {
                    c.setTcpNoDelay(true);
                    Files.copy(file, out);
                } catch (IOException e) {
                    throw new RuntimeException(e);
                }
            }).start();
        }
    }

    static byte[] viaHttp(HttpClient client, String host, int port) throws Exception {
        return client.send(HttpRequest.newBuilder(URI.create("http://" + host + ":" + port + "/")).build(),
            HttpResponse.BodyHandlers.ofByteArray()).body();
    }

    static byte[] viaNio(String host, int port) throws IOException {
        try (Selector one = Selector.open(); SocketChannel c = SocketChannel.open()) {
            ByteBuffer got = ByteBuffer.allocate(16 << 20);
            c.configureBlocking(false);
            if (c.connect(new InetSocketAddress(host, port)))
                throw new IOException("connected at once");
            SelectionKey k = c.register(one, SelectionKey.OP_CONNECT);
            for (;;) {
                one.select();
                one.selectedKeys().clear();
                if (k.isConnectable() && c.finishConnect())
                    k.interestOps(SelectionKey.OP_READ);
                else if (k.isReadable() && c.read(got) < 0)
                    return java.util.Arrays.copyOf(got.array(), got.position());
            }
        }
    }

    static byte[] viaSocket(String host, int port) throws IOException {
        try (Socket c = new Socket()) {
            c.connect(new InetSocketAddress(host, port), 20000);
            c.setSoTimeout(20000);
            return c.getInputStream().readAllBytes();
        }
    }

    static void get(String kind, String host, int port, int count, String want) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        Future<?>[] all = new Future<?>[count];
        for (int i = 0; i < count; i++)
            all[i] = pool.submit(() -> {
                byte[] got = switch (kind) {
                case "http" -> viaHttp(client, host, port);
                case "nio" -> viaNio(host, port);
                default -> viaSocket(host, port);
                };
                String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(got));
                if (!hash.equals(want))
                    throw new IOException(got.length + " bytes, wrong hash");
                return null;
            });
        for (Future<?> f : all)
            f.get();
        System.exit(0);
    }

    public static void main(String[] a) throws Exception {
        switch (a[0]) {
        case "http" -> serveHttp(Integer.parseInt(a[1]), Path.of(a[2]));
        case "nio" -> serveNio(Integer.parseInt(a[1]), Path.of(a[2]));
        case "threads" -> serveThreads(Integer.parseInt(a[1]), Path.of(a[2]));
        default -> get(a[0].substring(4), a[1], Integer.parseInt(a[2]), Integer.parseInt(a[3]), a[4]);
        }
    }
}
