// Java's spymemcached, as its documentation has it, in its text or its binary protocol:
//
//     java -cp spymemcached.jar WithSpymemcached.java 127.0.0.1 11211 text
//
// It prints `ok` and a name for each step that held.

import java.net.InetSocketAddress;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Future;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.MemcachedClient;

public class WithSpymemcached {
    private static final String NAMESPACE = "ringway-" + UUID.randomUUID() + ":";
    private static MemcachedClient client;

    public static void main(String[] arguments) throws Exception {
        System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
        java.util.logging.Logger.getLogger("net.spy").setLevel(java.util.logging.Level.WARNING);
        boolean isBinary = arguments[2].equals("binary");
        client = new MemcachedClient(
                new ConnectionFactoryBuilder()
                        .setProtocol(isBinary
                                ? ConnectionFactoryBuilder.Protocol.BINARY
                                : ConnectionFactoryBuilder.Protocol.TEXT)
                        .setOpTimeout(10_000)
                        .build(),
                List.of(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]))));
        try {
            tour(isBinary);
            System.exit(0);
        } catch (Throwable broken) {
            // Its own threads would keep the process alive.
            broken.printStackTrace();
            System.exit(1);
        }
    }

    private static void tour(boolean isBinary) throws Exception {
        values();
        many();
        compareAndSet();
        numbers(isBinary);
        conditions();
        deletion();
        ends();
        if (isBinary) {
            getAndTouch();
        }
        server();
        client.shutdown();
    }

    private static void values() throws Exception {
        done("set", client.set(key("text"), 100, "some text"));
        equal("get", client.get(key("text")), "some text");
        equal("get of nothing", client.get(key("nothing")), null);
        tried("set", "get");
        // Every byte, and what a text protocol could take for its own.
        byte[] tail = "\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0".getBytes();
        byte[] binary = new byte[256 + tail.length];
        for (int i = 0; i < 256; i++) {
            binary[i] = (byte) i;
        }
        System.arraycopy(tail, 0, binary, 256, tail.length);
        done("set of every byte", client.set(key("bytes"), 100, binary));
        holds("get of every byte", Arrays.equals((byte[]) client.get(key("bytes")), binary));
        tried("binary-safe");
        byte[] large = new byte[900 * 1024];
        new SecureRandom().nextBytes(large);
        done("set of 900 KB", client.set(key("large"), 100, large));
        holds("get of 900 KB", Arrays.equals((byte[]) client.get(key("large")), large));
        tried("900 KB");
    }

    private static void many() throws Exception {
        Map<String, Object> wanted = new HashMap<>();
        Map<String, Future<Boolean>> stored = new HashMap<>();
        for (int i = 0; i < 100; i++) {
            wanted.put(key("many:" + i), "value " + i);
            stored.put(key("many:" + i), client.set(key("many:" + i), 100, "value " + i));
        }
        for (Map.Entry<String, Future<Boolean>> one : stored.entrySet()) {
            done("set of " + one.getKey(), one.getValue());
        }
        List<String> names = new java.util.ArrayList<>(wanted.keySet());
        names.add(key("nothing"));
        equal("getBulk of 100 and a miss", client.getBulk(names), wanted);
        tried("multi-get");
    }

    private static void compareAndSet() throws Exception {
        done("set", client.set(key("cas"), 100, "first"));
        CASValue<Object> found = client.gets(key("cas"));
        equal("gets", found.getValue(), "first");
        equal("cas", client.cas(key("cas"), found.getCas(), "second"), CASResponse.OK);
        equal("cas with an old token", client.cas(key("cas"), found.getCas(), "third"), CASResponse.EXISTS);
        equal("cas of nothing", client.cas(key("nothing"), found.getCas(), "x"), CASResponse.NOT_FOUND);
        equal("get after cas", client.get(key("cas")), "second");
        tried("cas");
    }

    private static void numbers(boolean isBinary) throws Exception {
        equal("incr of nothing", client.incr(key("number"), 1), -1L);
        done("set", client.set(key("number"), 100, "10"));
        equal("incr", client.incr(key("number"), 32), 42L);
        equal("decr", client.decr(key("number"), 2), 40L);
        equal("decr stops at 0", client.decr(key("number"), 100), 0L);
        equal("incr with an initial value", client.incr(key("made"), 5, 7, 100), 7L);
        equal("incr of what was made", client.incr(key("made"), 5, 7, 100), 12L);
        tried("incr", "decr");
        if (isBinary) {
            tried("initial value");
        }
    }

    private static void conditions() throws Exception {
        String name = key("condition");
        refused("replace of nothing", client.replace(name, 100, "a"));
        refused("append to nothing", client.append(name, "a"));
        done("add", client.add(name, 100, "b"));
        refused("add again", client.add(name, 100, "c"));
        done("replace", client.replace(name, 100, "d"));
        done("append", client.append(name, "e"));
        done("prepend", client.prepend(name, "c"));
        equal("after all", client.get(name), "cde");
        tried("add", "replace", "append");
    }

    private static void deletion() throws Exception {
        done("set", client.set(key("deleted"), 100, "v"));
        done("delete", client.delete(key("deleted")));
        equal("get of the deleted", client.get(key("deleted")), null);
        refused("delete of nothing", client.delete(key("deleted")));
        tried("delete");
    }

    // Keys that end after a second, that are told to, and that were to end and are told to stay.
    private static void ends() throws Exception {
        done("set", client.set(key("stays"), 3, "v"));
        done("set", client.set(key("gone"), 1, "v"));
        done("set", client.set(key("shortened"), 100, "v"));
        done("touch to stay", client.touch(key("stays"), 100));
        done("touch to end", client.touch(key("shortened"), 1));
        refused("touch of nothing", client.touch(key("nothing"), 100));
        done("set", client.set(key("last"), 3, "v"));
        vanishes("gone");
        tried("expire");
        vanishes("shortened");
        vanishes("last");
        equal("get of what was touched to stay", client.get(key("stays")), "v");
        tried("touch");
    }

    private static void getAndTouch() throws Exception {
        equal("gat", client.getAndTouch(key("stays"), 100).getValue(), "v");
        equal("gat of nothing", client.getAndTouch(key("nothing"), 100), null);
        tried("gat");
    }

    private static void server() throws Exception {
        holds("stats have pid", client.getStats().values().iterator().next().containsKey("pid"));
        equal("versions of one server", client.getVersions().size(), 1);
        done("flush", client.flush());
        equal("get after flush", client.get(key("text")), null);
        tried("stats", "flush");
    }

    private static void vanishes(String name) throws Exception {
        long end = System.nanoTime() + 10_000_000_000L;
        while (client.get(key(name)) != null && System.nanoTime() < end) {
            Thread.sleep(50);
        }
        equal("get of " + name, client.get(key(name)), null);
    }

    private static String key(String name) {
        return NAMESPACE + name;
    }

    private static void done(String what, Future<Boolean> answer) throws Exception {
        equal(what, answer.get(), true);
    }

    private static void refused(String what, Future<Boolean> answer) throws Exception {
        equal(what, answer.get(), false);
    }

    private static void holds(String what, boolean claim) {
        equal(what, claim, true);
    }

    private static void equal(String what, Object got, Object wanted) {
        if (got == null ? wanted != null : !got.equals(wanted)) {
            System.err.printf("spymemcached: %s: got %.200s, wanted %.200s%n", what, got, wanted);
            System.exit(1);
        }
    }

    private static void tried(String... steps) {
        for (String step : steps) {
            System.out.println("ok " + step);
        }
    }
}
