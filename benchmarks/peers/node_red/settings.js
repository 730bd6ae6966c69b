// Node-RED without its editor and web server, and without anything that calls home. `say` writes what the rig waits for.
module.exports = {
    flowFile: "flow.json",
    credentialSecret: false,
    httpAdminRoot: false,
    httpNodeRoot: false,
    disableEditor: true,
    telemetry: { enabled: false, updateNotification: false },
    externalModules: { autoInstall: false, palette: { allowInstall: false } },
    functionGlobalContext: {
        crypto: require("crypto"),
        say: (event) => process.stderr.write(JSON.stringify({ event }) + "\n"),
    },
    logging: { console: { level: "warn", metrics: false, audit: false } },
};
