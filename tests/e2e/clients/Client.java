// SPDX-License-Identifier: LGPL-2.1-or-later
// usage: Client HttpURLConnection|HttpClient URL N HASHES -- does what client.py says. Java's sockets are
// AF_INET6.

import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Predicate;

public class Client {
        record Answer(int status, String server, byte[] body) {}

        interface Transport {
                Answer send(String method, String url, byte[] body) throws Exception;
        }

        static final HttpClient CLIENT =
                HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
                        .connectTimeout(Duration.ofSeconds(20)).build();

        static Answer withHttpClient(String method, String url, byte[] body) throws Exception {
                HttpRequest.BodyPublisher publisher = HttpRequest.BodyPublishers.noBody();
                if (body != null)
                        publisher = HttpRequest.BodyPublishers.ofByteArray(body);
                HttpRequest request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(20))
                        .method(method, publisher).build();
                HttpResponse<byte[]> r = CLIENT.send(request, HttpResponse.BodyHandlers.ofByteArray());
                return new Answer(r.statusCode(), r.headers().firstValue("X-Server").orElse(null), r.body());
        }

        static Answer withUrlConnection(String method, String url, byte[] body) throws Exception {
                HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
                connection.setRequestMethod(method);
                connection.setConnectTimeout(20000);
                connection.setReadTimeout(20000);
                if (body != null) {
                        connection.setDoOutput(true);
                        connection.getOutputStream().write(body);
                }
                int status = connection.getResponseCode();
                try (InputStream stream = connection.getInputStream()) {
                        return new Answer(status, connection.getHeaderField("X-Server"),
                                          stream.readAllBytes());
                }
        }

        static String sha256(byte[] body) {
                try {
                        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body));
                } catch (java.security.NoSuchAlgorithmException e) {
                        throw new IllegalStateException(e);
                }
        }

        static void step(Transport transport, Map<String, Integer> servers, String method, String url,
                         byte[] body,
                         Predicate<byte[]> check) throws Exception {
                Answer a = transport.send(method, url, body);
                if (a.status != 200 || a.server == null || !check.test(a.body))
                        throw new IllegalStateException(String.format("%s %s: %d, server %s, %d bytes",
                                method, url, a.status, a.server, a.body.length));
                servers.merge(a.server, 1, Integer::sum);
        }

        public static void main(String[] arguments) throws Exception {
                boolean modern = arguments[0].equals("HttpClient");
                Transport transport = modern ? Client::withHttpClient : Client::withUrlConnection;
                String url = arguments[1];
                Map<String, String> hashes = new LinkedHashMap<>();
                for (String pair : arguments[3].split(","))
                        hashes.put(pair.split("=")[0], pair.split("=")[1]);
                List<String> files = new ArrayList<>(hashes.keySet());
                Map<String, Integer> servers = new TreeMap<>();
                Random random = new Random();

                for (int number = 0; number < Integer.parseInt(arguments[2]); number++) {
                        String nonce = ProcessHandle.current().pid() + "-" + number;
                        String file = files.get(number % files.size());
                        byte[] body = new byte[number * 1009 % 200000];
                        random.nextBytes(body);
                        Predicate<byte[]> isFile = a -> sha256(a).equals(hashes.get(file));

                        step(transport, servers, "GET", url + "/echo?" + nonce, null,
                             a -> new String(a).split(" ")[1].equals(nonce + "\n"));
                        step(transport, servers, "GET", url + "/file/" + file, null, isFile);
                        step(transport, servers, "GET", url + "/chunked/" + file, null, isFile);
                        step(transport, servers, "POST", url + "/sum", body,
                             a -> new String(a).equals(sha256(body)));
                }

                StringBuilder json = new StringBuilder();
                servers.forEach((name, n) -> json.append(String.format(", \"%s\": %d", name, n)));
                System.out.println("{" + json.substring(2) + "}");
        }
}
