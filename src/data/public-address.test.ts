import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isPublicAddress } from "./public-address.js";

describe("isPublicAddress", () => {
  it.each([
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.0.1",
    "223.255.255.255",
    "198.20.0.1",
  ])("takes %s", (address) => expect(isPublicAddress(address)).toBe(true));

  it.each(["2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::8.8.8.8", "64:ff9b::808:808"])(
    "takes %s",
    (address) => expect(isPublicAddress(address)).toBe(true),
  );

  it.each([
    ["0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1"],
    ["172.31.255.255", "192.0.0.8", "192.168.1.1", "198.19.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"],
    [
      "::",
      "::1",
      "::ffff:127.0.0.1",
      "::ffff:8.8.8.8",
      "::8.8.8.8",
      "fe80::1",
      "fe80::1%lo",
      "fc00::1",
      "fd12::1",
    ],
    ["fec0::1", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "64:ff9b::127.0.0.1"],
    ["64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "5f00::1", "", "localhost", "1.2.3", "[::1]"],
  ])("refuses %s and its like", (...addresses) => {
    for (const address of addresses) expect(isPublicAddress(address), address).toBe(false);
  });

  it("judges an IPv4 address behind NAT64 as the address itself", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(isPublicAddress(`64:ff9b::${address}`)).toBe(isPublicAddress(address));
      }),
    );
  });
});
