/* SPDX-License-Identifier: Apache-2.0 */
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.conscrypt.Conscrypt;

/** Java's HttpsURLConnection on Conscrypt's BoringSSL: Client URL CA; questions and answers as in ../README.md. */
public final class Client {
	private static SSLContext trusting(String path) throws Exception {
		KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
		TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		SSLContext context = SSLContext.getInstance("TLS", Conscrypt.newProvider());

		store.load(null);
		try (FileInputStream in = new FileInputStream(path)) {
			store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
		}
		factory.init(store);
		context.init(null, factory.getTrustManagers(), null);
		return context;
	}

	private static String ask(SSLContext context, String base, String[] words) throws Exception {
		HttpsURLConnection c = (HttpsURLConnection) new URL(base + words[1]).openConnection();

		c.setSSLSocketFactory(context.getSocketFactory());
		c.setRequestMethod(words[0]);
		c.setRequestProperty("Authorization", "Bearer " + words[2]);
		int status = c.getResponseCode();
		try (InputStream in = status < 400 ? c.getInputStream() : c.getErrorStream()) {
			String body = in == null ? "" : new String(in.readAllBytes(), StandardCharsets.US_ASCII);
			return (status + " " + body.trim()).trim();
		}
	}

	public static void main(String[] args) throws Exception {
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		SSLContext context = trusting(args[1]);

		for (String line = in.readLine(); line != null; line = in.readLine()) {
			String[] words = line.trim().split("\\s+");
			if (words[0].equals("new")) {
				context = trusting(args[1]);
				System.out.println("new");
			} else {
				System.out.println(ask(context, args[0], words));
			}
		}
	}
}
