// Called for every request. `event` is the JSON body; what is returned becomes the answer.
exports.handler = async (event, context) => {
  const name = event?.name ?? "world";
  console.log(`greeting ${name}, call ${context.awsRequestId}`); // see it with `plat logs`
  return { message: `${process.env.GREETING}, ${name}!` };
};
