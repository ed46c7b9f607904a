import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.TimeUnit;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.ConnectionFactoryBuilder.Protocol;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.auth.AuthDescriptor;
import net.spy.memcached.auth.PlainCallbackHandler;

/** spymemcached: SASL PLAIN in its binary protocol. HOST PORT USER PASSWORD. */
public class Spymemcached {
    public static void main(String[] arguments) throws Exception {
        InetSocketAddress address = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        MemcachedClient good = client(address, arguments[2], arguments[3]);
        boolean isStored = good.set("spymemcached", 0, "value").get(10, TimeUnit.SECONDS);
        boolean isRead = "value".equals(good.get("spymemcached"));
        Object got = null;
        try {
            got = client(address, arguments[2], "wrong").asyncGet("spymemcached").get(2, TimeUnit.SECONDS);
        } catch (Exception refused) {
            // As it must be.
        }
        System.exit(isStored && isRead && got == null ? 0 : 1);
    }

    private static MemcachedClient client(InetSocketAddress address, String user, String password) throws Exception {
        return new MemcachedClient(
                new ConnectionFactoryBuilder()
                        .setProtocol(Protocol.BINARY)
                        // AuthDescriptor.typical tries CRAM-MD5 first, and gives up when that is refused.
                        .setAuthDescriptor(
                                new AuthDescriptor(
                                        new String[] {"PLAIN"}, new PlainCallbackHandler(user, password)))
                        .build(),
                List.of(address));
    }
}
