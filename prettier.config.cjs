// The indentation comes from .editorconfig.
/** @type {import("prettier").Config} */
module.exports = {
    plugins: [require.resolve("@prettier/plugin-xml")],
    printWidth: 100,
    trailingComma: "es5",
    overrides: [
        {
            files: "*.xml",
            options: {
                printWidth: 120,
                xmlSelfClosingSpace: false,
                // What customers and salespeople read depends on white space: none is added, none is taken away.
                xmlWhitespaceSensitivity: "strict",
            },
        },
    ],
};
