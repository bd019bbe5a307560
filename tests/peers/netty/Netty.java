/* SPDX-License-Identifier: Apache-2.0 */
import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpRequest;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2FrameCodecBuilder;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2MultiplexHandler;
import io.netty.handler.codec.http2.Http2StreamChannelBootstrap;
import io.netty.handler.codec.http2.Http2StreamFrame;
import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Netty with its BoringSSL: Netty 1.1|2 URL CA; questions and answers as in ../README.md. */
public class Netty {
	private final boolean two;
	private final int port;
	private final SslContext tls;
	private final NioEventLoopGroup group = new NioEventLoopGroup(1);
	private CompletableFuture<String> answer;
	private Channel channel;

	Netty(boolean two, int port, String ca) throws Exception {
		this.two = two;
		this.port = port;
		tls = SslContextBuilder.forClient().sslProvider(SslProvider.OPENSSL).trustManager(new File(ca))
			.applicationProtocolConfig(new ApplicationProtocolConfig(ApplicationProtocolConfig.Protocol.ALPN,
				ApplicationProtocolConfig.SelectorFailureBehavior.NO_ADVERTISE,
				ApplicationProtocolConfig.SelectedListenerFailureBehavior.ACCEPT, two ? "h2" : "http/1.1"))
			.build();
	}

	private void connect() throws Exception {
		channel = new Bootstrap().group(group).channel(NioSocketChannel.class)
			.handler(new ChannelInitializer<Channel>() {
				@Override
				protected void initChannel(Channel ch) {
					ch.pipeline().addLast(tls.newHandler(ch.alloc(), "localhost", port));
					if (two)
						ch.pipeline().addLast(Http2FrameCodecBuilder.forClient().build(),
							new Http2MultiplexHandler(new ChannelInboundHandlerAdapter()));
					else
						ch.pipeline().addLast(new HttpClientCodec(), new HttpObjectAggregator(65536),
							new OneAnswer());
				}
			}).connect("localhost", port).sync().channel();
	}

	private final class OneAnswer extends SimpleChannelInboundHandler<FullHttpResponse> {
		@Override
		protected void channelRead0(ChannelHandlerContext ctx, FullHttpResponse r) {
			answer.complete(r.status().code() + " " + r.content().toString(StandardCharsets.US_ASCII).trim());
		}

		@Override
		public void exceptionCaught(ChannelHandlerContext ctx, Throwable e) {
			answer.completeExceptionally(e);
		}
	}

	private final class StreamAnswer extends SimpleChannelInboundHandler<Http2StreamFrame> {
		private final StringBuilder body = new StringBuilder();
		private String status;

		@Override
		protected void channelRead0(ChannelHandlerContext ctx, Http2StreamFrame f) {
			boolean last = false;
			if (f instanceof Http2HeadersFrame) {
				Http2HeadersFrame h = (Http2HeadersFrame) f;
				status = h.headers().status() == null ? status : h.headers().status().toString();
				last = h.isEndStream();
			} else if (f instanceof Http2DataFrame) {
				Http2DataFrame d = (Http2DataFrame) f;
				body.append(d.content().toString(StandardCharsets.US_ASCII));
				last = d.isEndStream();
			}
			if (last)
				answer.complete(status + " " + body.toString().trim());
		}
	}

	private String ask(String method, String path, String token) throws Exception {
		answer = new CompletableFuture<>();
		if (channel == null)
			connect();
		if (two) {
			Channel stream = new Http2StreamChannelBootstrap(channel).handler(new StreamAnswer()).open().sync().get();
			stream.writeAndFlush(new DefaultHttp2HeadersFrame(new DefaultHttp2Headers().method(method).path(path)
				.scheme("https").authority("localhost:" + port).add("authorization", "Bearer " + token), true));
		} else {
			DefaultFullHttpRequest r =
				new DefaultFullHttpRequest(HttpVersion.HTTP_1_1, HttpMethod.valueOf(method), path);
			r.headers().add("Host", "localhost:" + port).add("Authorization", "Bearer " + token);
			channel.writeAndFlush(r);
		}
		return answer.get(20, TimeUnit.SECONDS);
	}

	private void renew() throws Exception {
		channel.close().sync();
		channel = null;
	}

	public static void main(String[] args) throws Exception {
		Netty client = new Netty(args[0].equals("2"), URI.create(args[1]).getPort(), args[2]);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		for (String line = in.readLine(); line != null; line = in.readLine()) {
			String[] words = line.split(" ");
			if (words.length == 1) {
				client.renew();
				System.out.println("new");
			} else {
				System.out.println(client.ask(words[0], words[1], words[2]));
			}
		}
		client.group.shutdownGracefully(0, 1, TimeUnit.SECONDS).sync();
	}
}
