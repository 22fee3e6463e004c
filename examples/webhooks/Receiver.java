// Receives Ordergate's webhooks. Java 17, JDK only: java Receiver.java

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Receiver {
    private static final long TOLERANCE = 5 * 60; // seconds
    private static final int LARGEST = 4 << 20; // bytes

    // The JDK has no JSON parser; your framework has. Type and subject come before "data", where a caller's words begin.
    private static final Pattern MEMBER = Pattern.compile("\"(type|subject)\":\"((?:[^\"\\\\]|\\\\.)*)\"");

    private final byte[] key;
    // Keep these in your database, in the transaction that handles the event.
    private final Set<String> seen = ConcurrentHashMap.newKeySet();

    private Receiver(byte[] key) {
        this.key = key;
    }

    public static void main(String[] args) throws IOException {
        String secret = System.getenv().getOrDefault("WEBHOOK_SECRET", "").replaceFirst("^whsec_", "");
        if (secret.isEmpty()) {
            throw new IllegalArgumentException("WEBHOOK_SECRET is not whsec_ and Base64");
        }
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "9000"));
        Receiver receiver = new Receiver(Base64.getDecoder().decode(secret));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/hook", receiver::handle);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
        System.err.println("listening on 127.0.0.1:" + port);
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] body = exchange.getRequestBody().readNBytes(LARGEST + 1);
            exchange.sendResponseHeaders(status(exchange, body), -1);
        }
    }

    private int status(HttpExchange exchange, byte[] body) {
        if (!exchange.getRequestURI().getPath().equals("/hook")) {
            return 404;
        }
        if (!exchange.getRequestMethod().equals("POST")) {
            return 405;
        }
        if (body.length > LARGEST) {
            return 413;
        }
        Headers headers = exchange.getRequestHeaders();
        if (!verified(headers, body)) {
            return 401;
        }
        String id = headers.getFirst("webhook-id");
        if (seen.add(id)) {
            String type = "-";
            String subject = "-";
            String text = new String(body, StandardCharsets.UTF_8);
            int data = text.indexOf("\"data\":");
            Matcher member = MEMBER.matcher(data < 0 ? text : text.substring(0, data));
            while (member.find()) {
                if (member.group(1).equals("type")) {
                    type = member.group(2);
                } else {
                    subject = member.group(2);
                }
            }
            System.out.println(id + " " + type + " " + subject);
        }
        return 204;
    }

    /** Says whether the body was signed with our secret, and lately. */
    private boolean verified(Headers headers, byte[] body) {
        String id = headers.getFirst("webhook-id");
        String timestamp = headers.getFirst("webhook-timestamp");
        String signatures = headers.getFirst("webhook-signature");
        if (id == null || timestamp == null || signatures == null || !timestamp.matches("[0-9]{1,15}")) {
            return false;
        }
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > TOLERANCE) {
            return false;
        }
        byte[] want;
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
            want = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
        // While a secret is replaced there are two signatures, with a blank between.
        for (String given : signatures.split(" ")) {
            if (MessageDigest.isEqual(want, given.getBytes(StandardCharsets.UTF_8))) {
                return true;
            }
        }
        return false;
    }
}
