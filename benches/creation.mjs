// Makes subscriptions with Stripe's own SDK, one after the other: what the service's creations are compared
// with. Arguments: the SDK's module, Stripe's address, a price, a file with {customer, method} for each.
// Prints the milliseconds that each took, as JSON.
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

const [sdk, address, price, file] = process.argv.slice(2);
const { default: Stripe } = await import(sdk);
const [host, port] = address.split(':');
const stripe = new Stripe('sk_test_simulator', { host, port, protocol: 'http', maxNetworkRetries: 0 });

const times = [];
for (const { customer, method } of JSON.parse(readFileSync(file, 'utf8'))) {
  const from = performance.now();
  await stripe.subscriptions.create({
    customer,
    items: [{ price }],
    default_payment_method: method,
    payment_behavior: 'error_if_incomplete',
  });
  times.push(performance.now() - from);
}
console.log(JSON.stringify(times));
