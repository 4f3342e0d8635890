// SPDX-License-Identifier: LGPL-2.1-or-later

import java.io.IOException;
import java.net.URL;

/** 600 requests with Java's HttpURLConnection; its sockets are AF_INET6, whatever the address is. */
class Ask {
        public static void main(String[] arguments) throws IOException {
                for (int number = 0; number < 600; number++)
                        try (var answer = new URL("http://127.71.0.10/echo?" + number).openStream()) {
                                System.out.print(new String(answer.readAllBytes()));
                        }
        }
}
