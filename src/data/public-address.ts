import { BlockList, isIPv4, isIPv6 } from "node:net";

/**
 * Whether an IP address is one that the public Internet routes to a host: neither private, loopback, link-local,
 * shared, multicast nor reserved (IANA special-purpose registries, RFC 6890). False for what is no IP address.
 */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !SPECIAL_IPV4.check(address, "ipv4");
  if (!isIPv6(address)) return false;
  return GLOBAL_IPV6.check(address, "ipv6") && !SPECIAL_IPV6.check(address, "ipv6");
}

const SPECIAL_IPV4_SUBNETS = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local, cloud metadata among it
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, broadcast
];
const SPECIAL_IPV4 = subnets("ipv4", SPECIAL_IPV4_SUBNETS);

/**
 * What is allocated as global unicast, and NAT64's well-known prefix (RFC 6052), through which networks without IPv4
 * reach IPv4 hosts. Unique local, link-local, IPv4-mapped addresses and all else lie outside.
 */
const GLOBAL_IPV6 = subnets("ipv6", ["2000::/3", "64:ff9b::/96"]);

const SPECIAL_IPV6 = subnets("ipv6", [
  "2001::/23", // protocol assignments, Teredo among them
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4, which carries an IPv4 address
  "3fff::/20", // documentation
  ...SPECIAL_IPV4_SUBNETS.map((subnet) => {
    const [address, bits] = subnet.split("/");
    return `64:ff9b::${address}/${96 + Number(bits)}`;
  }),
]);

function subnets(family: "ipv4" | "ipv6", list: readonly string[]): BlockList {
  const blocks = new BlockList();
  for (const subnet of list) {
    const [address, bits] = subnet.split("/");
    blocks.addSubnet(address!, Number(bits), family);
  }
  return blocks;
}
