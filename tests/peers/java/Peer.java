// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * The JDK's own HTTP client, HTTP/2 only: over TLS by ALPN, else by upgrade from HTTP/1.
 * Usage: Peer http[s]://HOST:PORT [CA]; see ../README.md.
 */
public final class Peer {
	private static SSLContext trusting(String path) throws Exception {
		KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
		TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		SSLContext context = SSLContext.getInstance("TLS");

		store.load(null);
		try (FileInputStream in = new FileInputStream(path)) {
			store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
		}
		factory.init(store);
		context.init(null, factory.getTrustManagers(), null);
		return context;
	}

	private static HttpClient client(String[] args) throws Exception {
		HttpClient.Builder builder = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2);

		if (args.length > 1)
			builder.sslContext(trusting(args[1]));
		return builder.build();
	}

	private static String ask(HttpClient client, String base, String[] words) throws Exception {
		HttpRequest request = HttpRequest.newBuilder(URI.create(base + words[1]))
			.method(words[0], HttpRequest.BodyPublishers.noBody())
			.header("Authorization", "Bearer " + words[2]).build();
		HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());

		if (response.version() != HttpClient.Version.HTTP_2)
			throw new IllegalStateException("the answer is " + response.version());
		return (response.statusCode() + " " + response.body().trim());
	}

	public static void main(String[] args) throws Exception {
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		HttpClient client = client(args);

		for (String line = in.readLine(); line != null; line = in.readLine()) {
			String[] words = line.trim().split("\\s+");
			if (words[0].equals("new")) {
				client = client(args);
				System.out.println("new");
			} else {
				System.out.println(ask(client, args[0], words));
			}
		}
		System.exit(0);
	}
}
