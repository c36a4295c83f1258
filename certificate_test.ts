import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { CertificateError, isExpired, readCertificate } from "./certificate.ts";
import { CERTIFICATE_NAME, makeCertificate, openssl } from "./tests/certificate_files.ts";
import { newFolder } from "./tests/folder.ts";

const ignore = (await Deno.permissions.query({ name: "run" })).state !== "granted";

Deno.test("readCertificate() returns what is in the files, with names and end", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const { cert, key } = await makeCertificate(folder.path, "good");
  const certificate = (await readCertificate({ tlsCert: cert, tlsKey: key }))!;
  assertEquals(certificate.cert, await Deno.readTextFile(cert));
  assertEquals(certificate.key, await Deno.readTextFile(key));
  assertEquals(certificate.names, ["localhost", CERTIFICATE_NAME]);
  const daysLeft = (certificate.expires.getTime() - Date.now()) / 86_400_000;
  assertEquals(Math.round(daysLeft), 1);
  assertEquals(isExpired(certificate), false);
});

Deno.test("readCertificate() returns an expired one too, and nothing where none is set", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const { cert, key } = await makeCertificate(folder.path, "old", -1);
  assertEquals(isExpired((await readCertificate({ tlsCert: cert, tlsKey: key }))!), true);
  assertEquals(await readCertificate({ tlsCert: undefined, tlsKey: undefined }), undefined);
});

Deno.test("readCertificate() says what is wrong, in which file, and which setting to change", {
  ignore,
}, async () => {
  await using folder = await newFolder();
  const { path } = folder;
  const { cert, key } = await makeCertificate(path, "one");
  const other = await makeCertificate(path, "other");
  const file = async (name: string, text: string) => {
    await Deno.writeTextFile(`${path}/${name}`, text);
    return `${path}/${name}`;
  };
  const pem = (label: string, body: string) =>
    `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
  await openssl("ec", "-in", key, "-passout", "pass:x", "-aes128", "-out", `${path}/locked`);
  await openssl("pkcs8", "-topk8", "-in", key, "-passout", "pass:x", "-out", `${path}/locked8`);
  const cases: [cert: string, key: string, message: RegExp][] = [
    [`${path}/none`, key, /^there is no file ".*none"; .* --tls-cert$/],
    [cert, `${path}/none`, /^there is no file ".*none"; .* --tls-key$/],
    [path, key, /^".*" can't be read \(Is a directory.*\); .* --tls-cert$/],
    [key, key, /^there is no certificate in ".*one\.key"; .* --tls-cert$/],
    [cert, cert, /^there is no private key in ".*one\.crt" that .*; .* --tls-key$/],
    [
      cert,
      `${path}/locked`,
      /^there is no private key .*locked" that .* passphrase; .* --tls-key$/,
    ],
    [cert, `${path}/locked8`, /^there is no private key .* passphrase; .* --tls-key$/],
    [
      cert,
      other.key,
      /^the key in ".*other\.key" is not that of .*one\.crt"; .* --tls-cert and --tl/,
    ],
    [
      await file("cut", (await Deno.readTextFile(cert)).slice(0, 300)),
      key,
      /^there is no certificate|^the certificate in ".*cut" can't be used .* --tls-cert$/,
    ],
    [
      await file("junk", pem("CERTIFICATE", "AAAA")),
      key,
      /^the certificate in ".*junk" can't be used .* --tls-cert$/,
    ],
    [
      cert,
      await file("junk.key", pem("PRIVATE KEY", "AAAA")),
      /^the private key in ".*junk\.key" can't be used .* --tls-key$/,
    ],
  ];
  for (const [tlsCert, tlsKey, message] of cases) {
    const error = await assertRejects(() => readCertificate({ tlsCert, tlsKey }), CertificateError);
    assertMatch(error.message, message);
  }
});
