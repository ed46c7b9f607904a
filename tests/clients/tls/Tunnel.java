// A tunnel for clients that cannot encrypt: what connects to it goes to Ringway over TLS, by Java's own (JSSE).
//
//     java Tunnel.java HOST PORT CA VERSION
//
// It trusts the authority in the file CA, checks the host name, speaks TLS 1.2 or 1.3 as VERSION says, and prints the
// port on which it listens. Sessions are resumed.

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Tunnel {
    public static void main(String[] arguments) throws Exception {
        SSLContext context = context(arguments[2]);
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        System.out.println(listener.getLocalPort());
        while (true) {
            Socket plain = listener.accept();
            start(() -> relay(plain, context, arguments));
        }
    }

    private static SSLContext context(String ca) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (InputStream pem = new FileInputStream(ca)) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context;
    }

    private static void relay(Socket plain, SSLContext context, String[] arguments) throws IOException {
        int port = Integer.parseInt(arguments[1]);
        try (plain; SSLSocket encrypted = (SSLSocket) context.getSocketFactory().createSocket(arguments[0], port)) {
            SSLParameters parameters = encrypted.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            parameters.setProtocols(new String[] {"TLSv" + arguments[3]});
            encrypted.setSSLParameters(parameters);
            encrypted.setTcpNoDelay(true);
            plain.setTcpNoDelay(true);
            encrypted.startHandshake();
            start(() -> {
                plain.getInputStream().transferTo(encrypted.getOutputStream());
                encrypted.shutdownOutput();
            });
            encrypted.getInputStream().transferTo(plain.getOutputStream());
        }
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void start(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException broken) {
                System.err.println(broken);
            }
        });
        thread.setDaemon(true);
        thread.start();
    }
}
