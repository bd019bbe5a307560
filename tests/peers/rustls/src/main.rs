// SPDX-License-Identifier: Apache-2.0

//! rustls at both ends: reqwest and a hyper server, on four threads of tokio; reqwest with native-tls
//! (OpenSSL) too. ../README.md says what is read from standard input and what is printed; beyond that
//! `METHOD PATH TOKEN BYTES` sends a body, and `load CONNECTIONS COUNT TOKEN,...` prints how many answers
//! had status 200, each connection with the token of its number.

use std::error::Error;
use std::io::{stdin, BufRead};
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use reqwest::{Certificate, Client, Method, Version};
use rustls::pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct How {
    h2: bool,
    native: bool,
    base: String,
    ca: Vec<u8>,
}

fn client(how: &How) -> Outcome<Client> {
    let mut b = Client::builder().add_root_certificate(Certificate::from_pem(&how.ca)?);
    b = if how.native { b.use_native_tls() } else { b.use_rustls_tls() };
    b = if how.h2 { b } else { b.http1_only() };
    Ok(b.build()?)
}

async fn ask(c: &Client, how: &How, method: &str, path: &str, token: &str, body: usize) -> Outcome<String> {
    let mut request = c.request(Method::from_bytes(method.as_bytes())?, format!("{}{path}", how.base));
    if body > 0 {
        request = request.body(vec![b'x'; body]);
    }
    let response = request.bearer_auth(token).send().await?;
    if (response.version() == Version::HTTP_2) != how.h2 {
        return Err(format!("the answer is {:?}", response.version()).into());
    }
    let status = response.status().as_u16();
    Ok(format!("{} {}", status, response.text().await?.trim()))
}

async fn load(how: Arc<How>, connections: usize, count: usize, tokens: Vec<String>) -> Outcome<usize> {
    let mut tasks = Vec::new();
    for i in 0..connections {
        let (how, token) = (how.clone(), tokens[i % tokens.len()].clone());
        tasks.push(tokio::spawn(async move {
            let c = client(&how)?;
            let mut good = 0;
            for n in 0..count {
                let path = if n % 5 == 4 { "/denied" } else { "/load" };
                let answer = ask(&c, &how, "GET", path, &token, 0).await?;
                good += usize::from(answer.starts_with("200 "));
            }
            Outcome::Ok(good)
        }));
    }
    let mut good = 0;
    for task in tasks {
        good += task.await??;
    }
    Ok(good)
}

async fn talk(how: How) -> Outcome<()> {
    let how = Arc::new(how);
    let mut current = client(&how)?;
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["new"] => {
                current = client(&how)?;
                println!("new");
            }
            ["load", connections, count, tokens] => {
                let tokens = tokens.split(',').map(String::from).collect();
                println!("{}", load(how.clone(), connections.parse()?, count.parse()?, tokens).await?);
            }
            [method, path, token] => {
                println!("{}", ask(&current, &how, method, path, token, 0).await?);
            }
            [method, path, token, body] => {
                println!("{}", ask(&current, &how, method, path, token, body.parse()?).await?);
            }
            _ => return Err(format!("a line of {} words", words.len()).into()),
        }
    }
    Ok(())
}

async fn answer(request: Request<Incoming>, from: SocketAddr) -> Outcome<Response<Full<Bytes>>> {
    let status = match request.uri().path() {
        "/denied" => 403,
        "/gone" => 404,
        _ => 200,
    };
    request.into_body().collect().await?;
    let response = Response::builder().status(status);
    Ok(response.body(Full::new(Bytes::from(format!("{}\n", from.port()))))?)
}

async fn serve(port: u16, certificate: &str, key: &str) -> Outcome<()> {
    let certificates = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, from) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that goes away is no fault of the server.
            if let Ok(tls) = acceptor.accept(stream).await {
                let service = hyper::service::service_fn(|request| answer(request, from));
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            }
        });
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match words[..] {
        ["server", port, certificate, key] => runtime.block_on(serve(port.parse()?, certificate, key)),
        [version @ ("h1" | "h2"), tls @ ("rustls" | "native"), base, ca] => runtime.block_on(talk(How {
            h2: version == "h2",
            native: tls == "native",
            base: base.to_string(),
            ca: std::fs::read(ca)?,
        })),
        _ => Err("usage: rustls-peer server PORT CERTIFICATE KEY | h1|h2 rustls|native URL CA".into()),
    }
}
