// The packages lie in the cache of ./dev, which names their folder; an editor finds its own node_modules.
import { createRequire } from "node:module";
import path from "node:path";

const modules = process.env.DEVTOOLS_NODE_MODULES;
const require = createRequire(modules ? path.join(modules, "eslint.cjs") : import.meta.url);
const js = require("@eslint/js");
const globals = require("globals");

export default [
    js.configs.recommended,
    {
        files: ["**/static/**/*.js"],
        languageOptions: {
            sourceType: "module",
            globals: { ...globals.browser, odoo: "readonly", luxon: "readonly", owl: "readonly" },
        },
    },
    { files: ["**/*.mjs"], languageOptions: { globals: globals.node } },
    {
        rules: {
            curly: ["error", "all"],
            eqeqeq: "error",
            "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
            "no-var": "error",
            "prefer-const": "error",
        },
    },
];
