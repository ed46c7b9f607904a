// Java's spymemcached behind the words of loop.py:
//
//     java Spymemcached NAME HOST PORT PROTOCOL

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.internal.OperationFuture;

public class Spymemcached {
    private static String host;
    private static int port;
    private static boolean isBinary;

    public static void main(String[] arguments) throws Exception {
        System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
        java.util.logging.Logger.getLogger("net.spy").setLevel(java.util.logging.Level.SEVERE);
        host = arguments[1];
        port = Integer.parseInt(arguments[2]);
        isBinary = arguments[3].equals("binary");
        MemcachedClient client = connect();
        String gat = isBinary ? "gat," : "";
        // The library does not know its version.
        System.out.println("ready - get,multi," + gat + "set,add,replace,append,cas,incr,decr,delete,touch,flush");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            List<String> words = Arrays.asList(line.split(" "));
            if (words.get(0).equals("open")) {
                port = words.size() > 1 ? Integer.parseInt(words.get(1)) : port;
                client.shutdown();
                client = connect();
                System.out.println("ok");
            } else {
                System.out.println(told(client, words.get(0), words.subList(1, words.size())));
            }
        }
        // Its own threads would keep the process alive.
        System.exit(0);
    }

    private static MemcachedClient connect() throws Exception {
        return new MemcachedClient(
                new ConnectionFactoryBuilder()
                        .setProtocol(isBinary
                                ? ConnectionFactoryBuilder.Protocol.BINARY
                                : ConnectionFactoryBuilder.Protocol.TEXT)
                        .setOpTimeout(30_000)
                        .build(),
                List.of(new InetSocketAddress(host, port)));
    }

    private static String told(MemcachedClient client, String command, List<String> keys) {
        try {
            return call(client, command, keys);
        } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            String text = String.valueOf(cause.getMessage()).replaceAll("\\s+", " ");
            return "raised " + cause.getClass().getSimpleName() + ": " + text.substring(0, Math.min(100, text.length()));
        }
    }

    private static String call(MemcachedClient client, String command, List<String> keys) throws Exception {
        String key = keys.isEmpty() ? "" : keys.get(0);
        switch (command) {
            case "get":
                return value(client.get(key));
            case "multi":
                Map<String, Object> found = client.getBulk(keys);
                return "values " + keys.stream().map(found::get).filter(Objects::nonNull).map(Object::toString)
                        .collect(Collectors.joining(","));
            case "gat":
                CASValue<Object> touched = client.getAndTouch(key, 100);
                return value(touched == null ? null : touched.getValue());
            case "set":
                return done(client.set(key, 0, "1"));
            case "add":
                return done(client.add(key, 0, "1"));
            case "replace":
                return done(client.replace(key, 0, "1"));
            case "append":
                return done(client.append(key, "1"));
            case "cas":
                CASValue<Object> read = client.gets(key);
                return read == null ? "false" : String.valueOf(client.cas(key, read.getCas(), "1") == CASResponse.OK);
            case "incr":
                return number(client.incr(key, 1));
            case "decr":
                return number(client.decr(key, 1));
            case "delete":
                return done(client.delete(key));
            case "touch":
                return done(client.touch(key, 100));
            default:
                return done(client.flush());
        }
    }

    private static String value(Object value) {
        return value == null ? "miss" : "value " + value;
    }

    private static String number(long number) {
        return number == -1 ? "false" : "value " + number;
    }

    private static String done(OperationFuture<Boolean> answer) throws Exception {
        return String.valueOf(Boolean.TRUE.equals(answer.get()));
    }
}
