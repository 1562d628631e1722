// `make clients`: src/ipam and src/placement from the OpenAPI documents of both services.
import { defineConfig } from "@hey-api/openapi-ts";

const CLASSES = { ipam: "Ipam", placement: "Placement" };
const openapi = process.env.OPENAPI ?? "../openapi"; // directories, so that a test can generate elsewhere
const out = process.env.OUT ?? "src";

export default defineConfig(
  Object.entries(CLASSES).map(([service, containerName]) => ({
    input: `${openapi}/${service}.json`,
    output: { path: `${out}/${service}`, module: { extension: ".ts" as const } },
    logs: { level: "warn" as const },
    plugins: [
      "@hey-api/typescript",
      { name: "@hey-api/client-fetch" as const, throwOnError: true },
      {
        name: "@hey-api/sdk" as const,
        responseStyle: "data" as const,
        operations: { strategy: "single" as const, containerName },
      },
    ],
  })),
);
