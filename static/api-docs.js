// Draws the OpenAPI document. It sends no cookie: agents identify themselves by a token alone.
"use strict";

const contract = document.getElementById("contract");

SwaggerUIBundle({
  url: contract.dataset.schema,
  domNode: contract,
  deepLinking: true,
  requestInterceptor: (request) => Object.assign(request, { credentials: "omit" }),
});
