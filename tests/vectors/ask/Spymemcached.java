import java.io.*;
import java.lang.reflect.Proxy;
import java.net.*;
import java.nio.charset.*;
import java.util.*;
import net.spy.memcached.*;

/**
 * Asks spymemcached's own locators where keys go. Reads lines: `keys N` and N keys in hexadecimal; then for each case
 * `case PRESET N HASH` and N nodes as `HOST ADDRESS PORT WEIGHT` (HOST `-`: none). Writes a line of indices for each
 * case, -1 where the key is no UTF-8, which no Java string can hold. HASH is one of spymemcached's, or `-` for the preset's.
 */
public class Spymemcached {
    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        List<String> keys = new ArrayList<>();
        for (int left = Integer.parseInt(in.readLine().split(" ")[1]); left > 0; left--) keys.add(text(in.readLine()));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            List<MemcachedNode> nodes = new ArrayList<>();
            Map<InetSocketAddress, Integer> weights = new HashMap<>();
            boolean weighs = false;
            for (int left = Integer.parseInt(words[2]); left > 0; left--) {
                String[] node = in.readLine().split(" ");
                byte[] raw = InetAddress.getByName(node[1]).getAddress();
                InetAddress ip = node[0].equals("-") ? InetAddress.getByAddress(raw) : InetAddress.getByAddress(node[0], raw);
                InetSocketAddress address = new InetSocketAddress(ip, Integer.parseInt(node[2]));
                nodes.add(node(address));
                weights.put(address, Integer.parseInt(node[3]));
                weighs |= !node[3].equals("1");
            }
            if (!weighs) weights.clear();
            boolean ascii = words[3].startsWith("FNV");
            HashAlgorithm hash = words[3].equals("-") ? DefaultHashAlgorithm.KETAMA_HASH : DefaultHashAlgorithm.valueOf(words[3]);
            NodeLocator locator = words[1].equals("spymemcached-modula")
                ? new ArrayModNodeLocator(nodes, DefaultHashAlgorithm.NATIVE_HASH)
                : new KetamaNodeLocator(nodes, hash,
                    KetamaNodeKeyFormatter.Format.SPYMEMCACHED, weights);
            StringBuilder answer = new StringBuilder();
            for (String key : keys) {
                // It hashes characters there where others hash bytes.
                boolean asked = key != null && !(ascii && key.chars().anyMatch(c -> c > 127));
                answer.append(!asked ? -1 : nodes.indexOf(locator.getPrimary(key))).append(' ');
            }
            System.out.println(answer);
        }
    }

    /** What a locator asks of a node: its address. */
    static MemcachedNode node(InetSocketAddress address) {
        return (MemcachedNode) Proxy.newProxyInstance(Spymemcached.class.getClassLoader(),
            new Class<?>[] {MemcachedNode.class}, (self, method, given) -> switch (method.getName()) {
                case "getSocketAddress" -> address;
                case "equals" -> self == given[0];
                case "hashCode" -> System.identityHashCode(self);
                case "toString" -> address.toString();
                default -> throw new UnsupportedOperationException(method.getName());
            });
    }

    static String text(String digits) {
        byte[] bytes = HexFormat.of().parseHex(digits);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(java.nio.ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            return null;
        }
    }
}
