# SPDX-License-Identifier: Apache-2.0
"""keybrake run: the languages of the system and their own HTTP clients, which know the vendor's
host name and the vault key and nothing of keybrake.  Each makes a call that passes and one that is
refused, and shows what a programmer sees.  By namespaces the lists of CAs lie where the client looks
for them; by notify, where nothing can be laid over anything, it is variables alone that say."""

import os
import re
import shutil
import subprocess
import unittest

import harness
import test_run
from test_run_clients import DENIED, STRIPE

LONG = bool(os.environ.get("KEYBRAKE_LONG"))
PASSED = "200 balance"
REFUSED = "403 " + DENIED


def needs(*programs, long=False):
    """Skips, and says what for."""
    missing = [one for one in programs if shutil.which(one) is None]
    if missing:
        return unittest.skip(f"not installed: {' '.join(missing)}"
                             f" (tools/install {'languages' if long else 'test'})")
    return unittest.skipIf(long and not LONG, "some seconds; runs with --long")


PHP = r"""<?php
$key = getenv("STRIPE_SECRET_KEY");
function show($status, $text) {
    $told = json_decode($text, true);
    echo $status, " ", $told["object"] ?? $told["error"]["message"], "\n";
}
function by_curl($path, $form = null) {
    global $key;
    $one = curl_init("https://api.stripe.com" . $path);
    curl_setopt_array($one, [CURLOPT_RETURNTRANSFER => true, CURLOPT_USERPWD => "$key:"]);
    if ($form !== null) curl_setopt($one, CURLOPT_POSTFIELDS, $form);
    $text = curl_exec($one);
    if ($text === false) echo curl_error($one), "\n";
    else show(curl_getinfo($one, CURLINFO_RESPONSE_CODE), $text);
}
function by_stream($path, $form = null) {
    global $key;
    $context = stream_context_create(["http" => [
        "method" => $form === null ? "GET" : "POST", "content" => $form ?? "", "ignore_errors" => true,
        "header" => "Authorization: Bearer $key\r\nContent-Type: application/x-www-form-urlencoded"]]);
    $text = file_get_contents("https://api.stripe.com" . $path, false, $context);
    show(explode(" ", $http_response_header[0])[1], $text);
}
by_curl("/v1/balance"); by_curl("/v1/refunds", "charge=ch_1");
by_stream("/v1/balance"); by_stream("/v1/refunds", "charge=ch_1");
"""

RUBY = r"""
require "json"
require "net/http"
def show(answer)
  told = JSON.parse(answer.body)
  puts "#{answer.code} #{told["object"] || told["error"]["message"]}"
end
def ask(request)
  request["Authorization"] = "Bearer #{ENV["STRIPE_SECRET_KEY"]}"
  show(Net::HTTP.start("api.stripe.com", 443, use_ssl: true) { |http| http.request(request) })
end
ask(Net::HTTP::Get.new("/v1/balance"))
ask(Net::HTTP::Post.new("/v1/refunds").tap { |one| one.set_form_data("charge" => "ch_1") })
"""

PERL = r"""
use JSON::PP; use HTTP::Tiny; use LWP::UserAgent;
my %key = (Authorization => "Bearer $ENV{STRIPE_SECRET_KEY}");
my $site = "https://api.stripe.com/v1";
sub show {
    my ($status, $text) = @_;
    my $told = eval { decode_json($text) } or return print "$status $text\n";
    print "$status ", $told->{object} // $told->{error}{message}, "\n";
}
my $tiny = HTTP::Tiny->new(verify_SSL => 1, default_headers => \%key);
for my $one ($tiny->get("$site/balance"), $tiny->post_form("$site/refunds", {charge => "ch_1"})) {
    show($one->{status}, $one->{content});
}
my $lwp = LWP::UserAgent->new;
for my $one ($lwp->get("$site/balance", %key), $lwp->post("$site/refunds", {charge => "ch_1"}, %key)) {
    show($one->code, $one->content);
}
"""

HTTPX = r"""
import asyncio, os, httpx
key = {"Authorization": "Bearer " + os.environ["STRIPE_SECRET_KEY"]}
site = "https://api.stripe.com/v1"
def show(answer):
    told = answer.json()
    print(answer.status_code, told.get("object") or told["error"]["message"])
with httpx.Client(headers=key) as client:
    show(client.get(site + "/balance"))
    show(client.post(site + "/refunds", data={"charge": "ch_1"}))
async def main():
    async with httpx.AsyncClient(headers=key) as client:
        show(await client.get(site + "/balance"))
        answer = await client.post(site + "/refunds", data={"charge": "ch_1"})
        show(answer)
        try:
            answer.raise_for_status()
        except httpx.HTTPStatusError as refused:
            print(str(refused).splitlines()[0])
asyncio.run(main())
"""

GO = r"""
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func ask(method, path, form string) {
	request, _ := http.NewRequest(method, "https://api.stripe.com"+path, strings.NewReader(form))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(os.Getenv("STRIPE_SECRET_KEY"), "")
	answer, problem := http.DefaultClient.Do(request)
	if problem != nil {
		fmt.Println(problem)
		return
	}
	defer answer.Body.Close()
	var told struct {
		Object string
		Error  struct{ Message string }
	}
	_ = json.NewDecoder(answer.Body).Decode(&told)
	fmt.Println(answer.StatusCode, told.Object+told.Error.Message)
}

func main() {
	ask("GET", "/v1/balance", "")
	ask("POST", "/v1/refunds", "charge=ch_1")
}
"""

JAVA = r"""
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.*;
import java.util.regex.*;

public class Agent {
    static void show(int status, String text) {
        Matcher told = Pattern.compile("\"(?:object|message)\": ?\"([^\"]*)").matcher(text);
        System.out.println(status + " " + (told.find() ? told.group(1) : text));
    }
    static HttpRequest.Builder to(String path) {
        return HttpRequest.newBuilder(URI.create("https://api.stripe.com" + path))
            .header("Authorization", "Bearer " + System.getenv("STRIPE_SECRET_KEY"));
    }
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        var answer = client.send(to("/v1/balance").build(), HttpResponse.BodyHandlers.ofString());
        show(answer.statusCode(), answer.body());
        answer = client.send(to("/v1/refunds").header("Content-Type", "application/x-www-form-urlencoded")
            .POST(HttpRequest.BodyPublishers.ofString("charge=ch_1")).build(),
            HttpResponse.BodyHandlers.ofString());
        show(answer.statusCode(), answer.body());
        var old = (HttpURLConnection) URI.create("https://api.stripe.com/v1/balance").toURL().openConnection();
        old.setRequestProperty("Authorization", "Bearer " + System.getenv("STRIPE_SECRET_KEY"));
        try (InputStream in = old.getInputStream()) {
            show(old.getResponseCode(), new String(in.readAllBytes()));
        }
        // The machine's own CAs are still there, whoever asks and with which password.
        var list = java.security.KeyStore.getInstance("JKS");
        String file = System.getProperty("javax.net.ssl.trustStore", System.getProperty("java.home")
            + "/lib/security/cacerts");
        try (InputStream in = new java.io.FileInputStream(file)) {
            list.load(in, "changeit".toCharArray());
        }
        System.out.println(list.size() > 100 ? "many CAs" : list.size() + " CAs");
    }
}
"""


class Languages(test_run.Case):
    tier = []

    def agent(self, name, text, *command):
        path = self.work / name
        path.write_text(text)
        path.chmod(0o644)
        done = self.sandbox(*(command or ()), policy=STRIPE,
                            options=["--base-urls", "no", "--quiet", *self.tier])
        return done.stdout.splitlines(), done.stderr

    def check(self, said, times, *more):
        lines, problems = said
        self.assertEqual(lines, [PASSED, REFUSED] * times + list(more), problems)

    @needs("php")
    def test_php(self):
        self.check(self.agent("agent.php", PHP, "php", "agent.php"), 2)

    @needs("ruby")
    def test_ruby(self):
        self.check(self.agent("agent.rb", RUBY, "ruby", "agent.rb"), 1)

    @needs("perl")
    def test_perl(self):
        self.check(self.agent("agent.pl", PERL, "/usr/bin/perl", "agent.pl"), 2)

    def test_httpx(self):
        if subprocess.run(["/usr/bin/python3", "-c", "import httpx"], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("not installed: python3-httpx (tools/install test)")
        self.check(self.agent("agent.py", HTTPX, "/usr/bin/python3", "agent.py"), 2,
                   "Client error '403 Forbidden (keybrake: endpoint_not_allowed)' for url"
                   " 'https://api.stripe.com/v1/refunds'")

    @needs("go", long=True)
    def test_go(self):
        (self.work / "agent.go").write_text(GO)
        subprocess.run(["go", "build", "-o", "agent", "agent.go"], cwd=self.work, check=True,
                       env={**os.environ, "GOCACHE": str(self.place.path / "go"), "GO111MODULE": "off"})
        self.check(self.agent("agent.go", GO, "./agent"), 1)

    @needs("java", "javac", long=True)
    def test_java(self):
        (self.work / "Agent.java").write_text(JAVA)
        subprocess.run(["javac", "--release", "11", "Agent.java"], cwd=self.work, check=True,
                       capture_output=True)
        tried = 0
        for java in ("/usr/bin/java", "/usr/lib/jvm/temurin-25-jdk-amd64/bin/java"):
            if shutil.which(java):
                tried += 1
                self.check(self.agent("Agent.txt", "", java, "-cp", ".", "Agent"), 1, PASSED,
                           "many CAs")
        self.assertGreater(tried, 0)


class LanguagesByNotify(Languages):
    tier = ["--tier", "notify"]


PYTHON = "/usr/bin/python3 -c"
ALONE = {
    "SSL_CERT_FILE": f"{PYTHON} 'import urllib.request as u; u.urlopen(\"https://api.stripe.com\")'",
    "CURL_CA_BUNDLE": "curl -sS https://api.stripe.com",
    "REQUESTS_CA_BUNDLE": f"{PYTHON} 'import requests as r; r.get(\"https://api.stripe.com\")'",
    "PIP_CERT": "/usr/bin/python3 -m pip download --retries 0 --no-cache-dir"
                " -i https://api.stripe.com/ nothing",
    "AWS_CA_BUNDLE": f"{PYTHON} 'import boto3; boto3.client(\"s3\", aws_access_key_id=\"FAKE\","
                     " aws_secret_access_key=\"FAKE\", region_name=\"us-east-1\").list_buckets()'",
    "GIT_SSL_CAINFO": "git ls-remote https://api.stripe.com/x",
    "HTTPLIB2_CA_CERTS": f"{PYTHON} 'import httplib2 as h; h.Http().request(\"https://api.stripe.com\")'",
    "NODE_EXTRA_CA_CERTS": "node -e 'require(\"https\").get(\"https://api.stripe.com\")'",
    "npm_config_cafile": "npm ping --registry https://api.stripe.com/ --fetch-retries 0",
    "PERL_LWP_SSL_CA_FILE": "/usr/bin/perl -MLWP::UserAgent -e 'my $a = LWP::UserAgent->new->get("
                            "\"https://api.stripe.com\"); die $a->content if $a->code == 500'",
    "WGETRC": "wget -qO- https://api.stripe.com",
    "PHP_INI_SCAN_DIR": "php -r '$one = curl_init(\"https://api.stripe.com\"); curl_exec($one);"
                        " echo curl_error($one);'",
}
DISTRUST = (r"(?i)certificate.?verify|verify failed|certificate problem|unable to (get|verify)|"
            r"not trusted|SELF_SIGNED|LEAF_SIGNATURE|UNABLE_TO|CERTIFICATE_VERIFY_FAILED|"
            r"certificate verification failed|confirming the ssl certificate|SSLError|cannot verify")


class Variables(test_run.Case):
    """Each variable by itself, where the lists of the system are the machine's own: with it the client
    trusts the sandbox's CA, without it not.  Those of clients that are not here are only compared
    with what sandbox and client are documented to agree on (environment_test)."""

    def ask(self, script):
        return self.sandbox("sh", "-c", script, policy=STRIPE,
                            options=["--base-urls", "no", "--quiet", "--tier", "notify"])

    @needs(long=True)
    def test_each_alone(self):
        keep = ("env -i PATH=\"$PATH\" HOME=\"$HOME\" TMPDIR=\"$HOME\" RES_OPTIONS=use-vc GIT_TERMINAL_PROMPT=0"
                " NODE_USE_SYSTEM_CA=0 AWS_EC2_METADATA_DISABLED=true ")
        tried = []
        for variable, client in ALONE.items():
            program = client.split()[0]
            module = client.split("import ")[1].split(";")[0].split()[0] if "import" in client else "sys"
            if shutil.which(program) is None or subprocess.run(
                    ["/usr/bin/python3", "-c", f"import {module}"], capture_output=True,
                    check=False).returncode != 0:
                continue
            tried.append(variable)
            with self.subTest(variable):
                without = self.ask(f"{keep} {client} 2>&1")
                if variable != "WGETRC":  # wget -q says nothing
                    self.assertRegex(without.stdout, DISTRUST)
                with_it = self.ask(f'{keep} {variable}="${variable}" {client} 2>&1')
                self.assertNotRegex(with_it.stdout, DISTRUST)
        self.assertGreater(len(tried), 6, tried)

    def test_they_are_there_in_both_tiers(self):
        for tier in ([], ["--tier", "notify"]):
            done = self.sandbox("sh", "-c", "openssl x509 -in $NODE_EXTRA_CA_CERTS -noout -subject;"
                                " for one in " + " ".join(REPLACE) + "; do eval file=\\$$one;"
                                " tail -c 60 $file | grep -q 'END CERTIFICATE' && test $(grep -c BEGIN"
                                " $file) -gt 100 || echo $one: $file; done", options=tier)
            self.assertRegex(done.stdout, "^subject=.*keybrake sandbox\\n$", tier)


REPLACE = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "AWS_CA_BUNDLE",
           "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO", "DENO_CERT", "NIX_SSL_CERT_FILE",
           "HTTPLIB2_CA_CERTS", "npm_config_cafile", "BUNDLE_SSL_CA_CERT",
           "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
           "PERL_LWP_SSL_CA_FILE"]


if __name__ == "__main__":
    unittest.main()
