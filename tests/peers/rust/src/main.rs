// SPDX-License-Identifier: Apache-2.0

//! Rust's hyper behind reqwest, over rustls or plain, HTTP/2 only.
//! ../README.md says what is read from standard input and what is printed.

use std::error::Error;
use std::io::{stdin, BufRead};

use reqwest::{Certificate, Client, Method, Version};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn client(ca: Option<&String>) -> Outcome<Client> {
    let mut builder = Client::builder().http2_prior_knowledge();
    if let Some(path) = ca {
        builder = builder.add_root_certificate(Certificate::from_pem(&std::fs::read(path)?)?);
    }
    Ok(builder.build()?)
}

async fn ask(client: &Client, url: String, method: &str, token: &str) -> Outcome<String> {
    let method = Method::from_bytes(method.as_bytes())?;
    let response = client.request(method, url).bearer_auth(token).send().await?;
    if response.version() != Version::HTTP_2 {
        return Err(format!("the answer is {:?}", response.version()).into());
    }
    let status = response.status().as_u16();
    Ok(format!("{} {}", status, response.text().await?.trim()))
}

async fn talk(base: &str, ca: Option<&String>) -> Outcome<()> {
    let mut current = client(ca)?;
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["new"] => {
                current = client(ca)?;
                println!("new");
            }
            [method, path, token] => {
                println!("{}", ask(&current, format!("{base}{path}"), method, token).await?);
            }
            _ => return Err(format!("a line of {} words", words.len()).into()),
        }
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.len() < 2 {
        return Err("usage: peer http[s]://HOST:PORT [CA]".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(talk(&args[1], args.get(2)))
}
