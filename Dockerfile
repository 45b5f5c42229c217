# One bundle on an image with Node 24 and CA certificates; no shell, no package manager and no root needed.
# Both bases are arguments for machines that pull from elsewhere. BUILD_IMAGE needs a shell, node and npm; BASE_IMAGE needs
# `node` in PATH or in /nodejs/bin.
# npm of the build takes its registry, and the right to read from it, from the secret npmrc, and one more authority from the
# secret npm-ca; both may be left out, and nothing of them stays in a layer:
#   docker build --secret id=npmrc,src=$HOME/.npmrc --secret id=npm-ca,src=ca.pem .
ARG BUILD_IMAGE=node:24-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=secret,id=npmrc --mount=type=secret,id=npm-ca \
    if [ -s /run/secrets/npm-ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/npm-ca; fi; \
    NPM_CONFIG_USERCONFIG=/run/secrets/npmrc npm ci --no-audit --no-fund
COPY tools/bundle.ts tools/
COPY src src
RUN node tools/bundle.ts

FROM ${BASE_IMAGE}
WORKDIR /app
COPY --from=build /build/dist/bundle/ /app/
ENV NODE_ENV=production PATH=/nodejs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 65532:65532
EXPOSE 8080
# One thread collects garbage: helpers cost more than they save on a heap of this size (docs/benchmarks.md).
ENTRYPOINT ["node", "--single-threaded-gc", "--max-semi-space-size=32", "/app/main.mjs"]
