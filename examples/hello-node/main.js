// The smallest useful function: JSON in, JSON out.
exports.handler = async (event, context) => {
  return { message: `Hello, ${event?.name ?? "world"}!`, version: context.functionVersion };
};
