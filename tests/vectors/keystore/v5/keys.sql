SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.accesses (
    seq integer NOT NULL,
    at bigint NOT NULL,
    purpose text NOT NULL,
    controller text NOT NULL,
    incarnation bytea NOT NULL,
    starts bigint NOT NULL,
    ends bigint NOT NULL,
    readings bigint NOT NULL,
    hash bytea NOT NULL
);
CREATE SEQUENCE public.accesses_seq_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.accesses_seq_seq OWNED BY public.accesses.seq;
CREATE TABLE public.accounts (
    erasure bytea NOT NULL,
    party text NOT NULL,
    kind text NOT NULL,
    process text NOT NULL,
    boot text NOT NULL,
    how text NOT NULL,
    at bigint NOT NULL
);
CREATE TABLE public.acts (
    seq bigint NOT NULL,
    act text NOT NULL,
    at bigint NOT NULL,
    outcome text
);
CREATE SEQUENCE public.acts_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.acts_seq_seq OWNED BY public.acts.seq;
CREATE TABLE public.captures (
    capture bytea NOT NULL,
    controller text NOT NULL,
    e integer NOT NULL,
    sealed bytea NOT NULL
);
CREATE TABLE public.controllers (
    controller text NOT NULL,
    current_e integer NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.departures (
    controller text NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    generation bigint NOT NULL,
    requested bigint NOT NULL,
    effective bigint,
    keys bigint NOT NULL
);
CREATE TABLE public.erasures (
    erasure bytea NOT NULL,
    controller text NOT NULL,
    incarnation bytea NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    generation bigint NOT NULL,
    requested bigint NOT NULL,
    effective bigint,
    final bigint,
    evidence text,
    certified text,
    certified_final text,
    purge_due bigint,
    purge_boot text,
    purge_key bytea,
    capture bytea,
    rows_first bigint,
    rows_second bigint
);
CREATE TABLE public.fences (
    fence_id bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    hash bytea NOT NULL,
    month integer NOT NULL,
    erasure bytea NOT NULL,
    starts bigint NOT NULL,
    ends bigint,
    expires bigint,
    refused bigint
);
CREATE TABLE public.glomska_schema (
    version bigint NOT NULL
);
CREATE TABLE public.holds (
    key_id bytea NOT NULL,
    erasure bytea NOT NULL,
    controller text NOT NULL,
    key_class text NOT NULL,
    until bigint NOT NULL,
    law text NOT NULL,
    released bytea
);
CREATE TABLE public.horizons (
    controller text NOT NULL,
    key_class text NOT NULL,
    epoch integer NOT NULL,
    moved bigint NOT NULL
);
CREATE TABLE public.incarnations (
    incarnation bytea NOT NULL,
    controller text NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.keks (
    controller text NOT NULL,
    e integer NOT NULL,
    wrapped bytea NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.keys (
    key_id bytea NOT NULL,
    incarnation bytea NOT NULL,
    controller text NOT NULL,
    key_class text NOT NULL,
    version integer NOT NULL,
    base integer NOT NULL,
    e integer NOT NULL,
    wrapped bytea,
    commitment bytea,
    state text NOT NULL,
    valid_from bigint NOT NULL
);
CREATE TABLE public.quarantine (
    item bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    found bigint NOT NULL
);
CREATE TABLE public.queues (
    machine text NOT NULL
);
CREATE TABLE public.records (
    record_id bytea NOT NULL,
    incarnation bytea NOT NULL,
    key_class text NOT NULL,
    version integer NOT NULL,
    epoch integer NOT NULL,
    kind text NOT NULL,
    sealed bytea NOT NULL
);
CREATE TABLE public.routes (
    route_id bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    hash bytea NOT NULL,
    e integer NOT NULL,
    incarnation bytea NOT NULL,
    area text NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint
);
CREATE TABLE public.secrets (
    key_id bytea NOT NULL,
    controller text NOT NULL,
    kind text NOT NULL,
    version integer NOT NULL,
    e integer NOT NULL,
    wrapped bytea NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.state (
    one integer NOT NULL,
    generation bigint NOT NULL,
    ledger bytea,
    token bigint NOT NULL,
    access_head bytea NOT NULL
);
CREATE SEQUENCE public.state_one_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.state_one_seq OWNED BY public.state.one;
CREATE TABLE public.suspensions (
    scope text NOT NULL,
    since bigint NOT NULL
);
CREATE TABLE public.transitions (
    id integer NOT NULL,
    key_id bytea NOT NULL,
    state text NOT NULL,
    at bigint NOT NULL
);
CREATE SEQUENCE public.transitions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.transitions_id_seq OWNED BY public.transitions.id;
CREATE TABLE public.turnovers (
    controller text NOT NULL,
    e integer NOT NULL,
    seq bigint NOT NULL,
    step text NOT NULL,
    generation bigint NOT NULL,
    started bigint NOT NULL,
    finished bigint,
    cursor bytea,
    purge_key bytea,
    purge_due bigint,
    purge_boot text,
    expired bigint NOT NULL,
    ratcheted bigint NOT NULL,
    rewrapped bigint NOT NULL
);
CREATE TABLE public.workers (
    worker bytea NOT NULL,
    boot text NOT NULL,
    generation bigint NOT NULL,
    lease bigint NOT NULL,
    deadline bigint NOT NULL,
    renewed bigint NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    process text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.wrappings (
    controller text NOT NULL,
    e integer NOT NULL,
    custodian text NOT NULL,
    attested integer NOT NULL,
    residue text NOT NULL,
    destroyed bigint NOT NULL
);
ALTER TABLE ONLY public.accesses ALTER COLUMN seq SET DEFAULT nextval('public.accesses_seq_seq'::regclass);
ALTER TABLE ONLY public.acts ALTER COLUMN seq SET DEFAULT nextval('public.acts_seq_seq'::regclass);
ALTER TABLE ONLY public.state ALTER COLUMN one SET DEFAULT nextval('public.state_one_seq'::regclass);
ALTER TABLE ONLY public.transitions ALTER COLUMN id SET DEFAULT nextval('public.transitions_id_seq'::regclass);
INSERT INTO public.accounts VALUES ('\xdec242d53fcd93bfcae982182a698c8a', '6c3ef9a6531ae5c4fb3810f4e037966e', 'worker', '3d1219c7c4c5404aaa1f6d2a48adfda4 ef4b9d67-69ea-4896-b2f8-6940cfe11c26 pid:[4026531836] 26845 3462512', 'ef4b9d67-69ea-4896-b2f8-6940cfe11c26', 'acknowledged', 1772323200000000000);
INSERT INTO public.accounts VALUES ('\xdec242d53fcd93bfcae982182a698c8a', 'queues 3d1219c7c4c5404aaa1f6d2a48adfda4', 'queues', '', '', 'purged', 1772323200000000000);
INSERT INTO public.accounts VALUES ('\xdec242d53fcd93bfcae982182a698c8a', 'broker', 'broker', '', '', 'purged', 1772323200000000000);
INSERT INTO public.acts VALUES (1, 'enrol', 1772323200000000000, NULL);
INSERT INTO public.acts VALUES (3, 'enrol', 1772323200000000000, NULL);
INSERT INTO public.acts VALUES (5, 'erase', 1772323200000000000, '{}');
INSERT INTO public.controllers VALUES ('heat-co', 1, 1772323200000000000);
INSERT INTO public.erasures VALUES ('\xdec242d53fcd93bfcae982182a698c8a', 'heat-co', '\x0c2f864369f94de0daefc597864f9300', 5, 'purged_once', 2, 1772323200000000000, 1772323200000000000, NULL, '{"keys": [{"key_id": "fe3f0735648a95d417b34540cc0a182b", "class": "billing", "version": 1, "base": 578, "commitment": "9e481da7a1b0ec007ece4a5743583b59d045163bcaafe85ff7cb2c572147c5a8", "e": 1}, {"key_id": "a9c7a9050bb22e43886d494e0397b65c", "class": "identity", "version": 1, "base": 0, "commitment": "cc324150c0c6a612e8646416e5e29e593e83ea51b2ad9e09d12d957049af4493", "e": 1}, {"key_id": "e639d8b29c53ce0d269673e82937ba8d", "class": "telemetry", "version": 1, "base": 650, "commitment": "6db44ac6d2d815e9a71bd8ab9b0c2e8abbb1d954beebf4f7e7468fc9c8aa1021", "e": 1}], "fences": 2, "custodian": "file", "last_e": 1, "rewrapped": [], "traces": 5}', 'c8463f064673e10ebd7d93ff2fa87d5c791b38cce778443082d97ad61a6d32de', NULL, 1000001000000000, 'ef4b9d67-69ea-4896-b2f8-6940cfe11c26', '\x3f3273398aad94265133e9a74fe16007', '\x0158690a0e0fbd795ef61e05cc1ed8082ba955f25c71e1152924c7071cbcb8be32b2d10a7db463d24607a8c7afb94a563d5f3e24d2736b9feb17e0f128b4aafff772364ddc0be85cbe507f56708e35fc64e047491568e3d48ca070e0be82408502c35a13e6acc154baa7247f58acd6b4ef4ff923af72be8633918d72a238cb43247486f100f3bccb6faa4c2c63710c15a7851e98fc273af3ff1f019e9a3601d56ae13e68d30cf07d1c1217ed2f99cfde1d6dab270879c01e4cd73a813608f3ce446960d9c64a8c1318618695eda8cdaccddace9d09e326fcfe92c78faf981ec1a9942e82df8e87fc9460f529b69a1ed81716d95152912bd99d3fdd126b3789f9af61d36e8f4cc905337a8be069d424e65c8c780ff024aa2f84c98183ac057918211dc2ff5337c4e02f980b6bc3c980499baa4691c183f0e9c494c8fbbf8a1c88b98181caf2b3267916a50902b962857e78cfff31363da28d1b5ddbc779825ff81f258fad6f6ec369e23f4af1835e2b97a9889b451fe35d9e1156814e0fc8d1c279180b2800ff05f150c7a8a110d7ece6073b88d1f4365dc75dc1a81be0c159864a07f93b398d186d37515b19bfab97892be547a41be7c68fb453797c24b91c75e4902f2c92b0cc8642a9e4ced45c2462cb05050248fdaacfc6cdb7aa5a9e2b18ca0fe55e2d9fe4093ec4a0a6c345ba018a43d1f6a2145b385a159d08623274adad3b7bcecfd40bd2b13a643904246a88cf7ac03189cf349bfe435be6d51d4c9922c92e539a33229aaf11c90989b44a5eff664963f0f59c2710e8a5df55234a3c10e97bf635ca6e4fa0430c5d5d9c09a5af9dc4b2a19739db8e849f5118b6cd5643b56e5910169d33bb9ba097def8edc758fd8a45ec0aeac62f1f1d94168e92f80d786454c994c562cdb8f38f810b446f834b0c3c743abb6829b0fcfc38f841606aed7ca7963525ff3f0af002ecafcac3fbb1c0044c448c0b092059c37665c87bfd55d3b94a01da8fb8039df3c35bccdbbf59ddae21828c830e0843bfbfe647c3852ab036ba6cf05d30aea307441a583aaa4751b2fd8f1a804923cfb5f4c5c09ecf89b7292638aa0946565adff3ed89aa4efa62d611b3da34682a4a27fdc6b553fdfdda85f6fc8c6a4d15c94fc5b72c51febf8b0903134c77ec6ee30f0b7831e1ff13fe8f3cbf91387647f8ce67dc77997294d6ca0a63d76cde8a57d4c2225a57c19a516cd9bf437ca52c1db6de46844de7c27b8a5170675694cb28570a8c519473cf38a907b5eb47c078cf02530b18e89819860b9a572c1dc794c07f354b90cdb993713a2d2c130cbec267a363affc61640b1f60a122352e2e65083a1244fbbfb98801b4a3e50eca832901ee9238f5708d8a811f698d886585b47342fbd8f18d3d662c00afa220b1c7f9907fd262fdfc00b21ce1c8172ef96c7e14776ca4ab27aed4d76c88f89640047f5365086afcce1e6d60400bb07b0f85a8409d59b5ceeddf72556ce21c8722a7b5397939fde10d7a0306ba6eaf5de13192b8bcf909ec2ee40f9c2005133aab2374559ed416e63759d875c85480355ca15c62d8e9ddabe3d214b7e0f3e0504ce4c2f6d68c0ab325fba87420c9ddc8ad5f77fe6a70ab9774d7d064a8c60c0f1a9e29079c67600fe908186f08a15ea1a2646b402133c174e2e10cb61387b15f098dcf9bb6a315af9d67ab5862cdf7a964db42a28eaa7c3658793379b1bb1196232eea933ac57b1825ae382f62da82178508cd31e30b214767ddb4a9cd31b53ad7f7d5aca928306a75c3f89d04544c33bed0e4dd9ef72946556830fb7a3f81507044d8b53fca4b9b618226ee0656039b139a9ccce81e92375ac39a915dde17633c9bc8e3b15ce035af480a4f0d6b3a339c3e2401146ebf14841404c2310c8b5d8f0d86a3c6a0d2fe79c3cd0f9264bff37ce1085e7bfc07d7601820b6b8590db12082ab3c870ad029daf4c8a3950a79afa6cb4484266806b96ce11b2a85ba13d27a3a5d09053ae79282d10225473f8b3c42ff495753e9525e8f86df9fc471633113dcaac96601b1b64d472b61f90b25dc89809e169f90b79fbe8d870d47fea96f12168a1ccef7004f4d5bcbce813caa7b5a7b7fa69e2b9076ecb0a02b7f4a5a81672510e03c0b908213e4ef98bbf51b7f42cf2b542e4e97d23a4e63ee232a0b0c38c36994bc8ed976e17b3d794e811f8d0e81565682670d46b395691b76b28b869566042fe0bf1099445e896ea76cca1a19c864ad15d23717a40259828cd5ac54c21a8417183e7e8bfb6ec9c032d94532decdbf1baca8994e84dbb2489435e9ca0b093b33cb2fca949aba2375e3d255cc02452a30be590fd58f3322e45a35b688b61e832f6be8563b7c31cde0e3d12188993ae37872a5a16f2e7cf3328fcff50dfe6aa6f1190700c009b0b612e2e105fac8d9a384bee28eb0b62a0b1d87baa3277ae1b534559c6a6a8e43a8542fe6d678ed5b930f2c3192c82c01cdf92fb0d272fb7685bdc94ba7adeb699677cef2d3ea8ad13474ba3a567c479ccbb9bc1a37a0adb8967ddd1a8f4ce0e6c2ab29a9cf1daa08ae9588b97f2bf59eadb0dab9bdcce2a3d7dbd81747af8a9af7f0a2c755438911a7f80676bc171795b99983227038670904ea312b937b337a3168165e9bf49a23c585813ad9490f76c04a4e49430984c938788b6397933732426c476aa8fe74e094f9f022d5f289ac4ca27b284ac9e24a9bfa0c9b322035e8fb1bc78347b0b530eb04e56fb05eda946df3a14003ad7b9fd03ce573d51aab97fdb3062d3f9705cb4a4b45d4c057d512a161ae26e8f71c8e45f774d8679f68d49d72407fa7b43a2757b1fbcffb5dfaeff205196f66ad9b45e70a5f8e5f707faf8452897fb0749d723ec131534585d3a9eff7ce931a61c5d88ed95560f7fdbb4472893307a1aade6b4a6e073ace76a4cf9e02358e40c035d6dd88e4090d8091b6d9244ff81aa9bbe97d951b7a75dfd286c2917cf463420b50cdd4d3a2268fec824b3d517c105d536e7f0c1d6b3a3d6b0db85ebf77475f26bb1a2c8c928d4cc4fd35ee30275faa47f211ea2a7df578c4fbb711ab58e0ae917dc73a63b947a745931f7241738c6ebd746fa190a1a6ff615f6bfd1cb61bf928aee3225ef34e601435e9d61e89930792bed27fb882c517f8ee367aa9191d18fa5d783ca4b875e7019f99cad7bc2b3807557ee439e5d9712dfc90eb1865502079a9c6acfa19f261f0c2601e19648726e6ac13db74924d481d70c793c07bc10d7dab8aa10327ca0b6e197386f56f582bd22453bc9fbaa088ba1d86c28e4223d58268b3a3cf0e6f351c921225564de9f4b8286413472d2f02d3b13b3a148ec8b39c03dd891fd1b95cf5ccda6098753e762013fc13c5ee2d451c065ed1ef5b38d7ee37eedd8af50978442d7fadba923abc05f0dee10631cd0cbc71532dd3d684b2c3d4b3a8e987f8b419cf69de283476a28e51e9660f1e832f6d6a760213df11ba7da807dccb27baa9a4a87b733e107c42ecca6737f37f78f42e6c6dbb143487c4642aca67f1fd5437e52a03dca7cda3884a9c07de865daf236c833370bcb6141dd11bcb7d532219159de636b450eebc9a9d481b9c233eb8aceab70483d8d946b4264699a5c584b1fca2436319c075ec2b0af70ef322ea57589eb4e3c2b8e43ef4867253f5000a577ed30f7d6ceab43dd7c1b560223298d1e48c57793bd31eb7c33d10c2915cbf6ce37cf1ab86e9fb766fc3b4489f18c3269c1d5a515abaaf1f1a56b9af95bf160abb48bbb82ffa29a464e499ea3e529b94da502e0624c0920199f10d83a8036f25aa28a8de5d057913a0e4e5c218beb649fd54552c0bb48d1b74546e342747536b2a785e76342596d000738c3dde1cd996c9801d95782fb892e765e0a003ff38ab0e83279c4d078ceafc89c3fac57c88ad6dd854119c6621b90f9d60b9ead480d21712970f0c929910d6fd58b816a4669cc2e6f4630e333518f6282a59d887d9fe515bcc4cf9b7c947e8f7ca7716b6b3a8896447303f58226efd385010e7f5a13e5973ba5074324c30848b36568f7f2ae3b8f9f0b7a4176bb7133a071130ffc4279281507395f726036c952923b7826452bb294d3f06104e288165eda4e65a156266a222cfd57b197f1836ceaa3cd4fc2fc297431c754f88474c1d003826edcf6e53122b941bbfb4f1581da09a9bed926e2c3d7dbe215a7545a9525ae0399dbb35b00539eeacf5d4bdbc106e065e35cf2cf1279b9e8e5b4cb1062b4c3871a1838cb80648b8f717767b3f0ef7dddd6ac0091b87d2236eb69a7cd2ac601de36d23c96cd1c20cb423d350d6e1f621ca40a275773a5155f2d2e7c35c55ef5ae2a51c74293f31a698e01816cb81df31f9a3d13673d28c4e500039cbc05eb78240cbfe4119f4c46ff96d0d3f471f4c8889b057923ee85b60f06b255a0ec65662bbc26e838626a732687b85ceb17f0e4ee1b0bea7c3bcf60ddf883ab5a6ef766be073b7ff5ff1643b4b461bcab35e9a4113e1a0d53cbaa09017b68692be26d0c10c49d9f50e324cc7080b3f1295a738bc17908343815ee5fa6eff2e77a9a51e111d392ba53e73758b1770fa88b88466717627208e5b77f792a9f2c14fe2eaff7fb8fac1f5dd9dc1e99d808c5602d8dd34154185f0ffb2e30ac01f2064939fd035038a7e3f3e11ae7e7bc6866730301c6afd51a8d575eca50099ba399bc0db08b99c71a53295890dff1651fb7ca3cc8c2284d8ce2e882012c48981b9bc3af6b559b0bd4149c9a66c497a89208310fbbf7eccef242919a6979a16a61f1bf217dda78f0379dbbdce3783171844aac1d00f262b2595998865c17d75f5b0c416e162f317a3ebab89a8a7975c5212c01ff0f8dca404d4e550cab8b7741e035f97770f820d2196754a41d323456c01df0ee8edf763f365c77e40c5fe99c399d7ad5c6f3ae8535ad6056b4cff4139a73294f1745071854cf22f6b0e0f2e23aaa483c004911dae3088a347ab618fc7782aba38fdb8494038a497c7d014253e70a7fe50c9c5db43ff1048fa6dbdf97cc9f0ff2cc09ac048785b553d4a211f2232b01c45370600f669b7fe3d850e49f8e9214ad373dad2618849ba51a42a1575975e09838061d447f3afc9212e1e21bd10f33a6aa238bf9f0e7590b68145f1b4979f2dbb8e06fe04d5c90b9480bbf931190da907214a4429db9fc68ee98b2b4922515188c6303e9285b4825846388a2cb2321b0ed59fb5b4aa9bb95a74b088bb0a34bfb0a5cc1875066c40eae8769d4df0dd53f3efe88bcda01be11004fc01f48b5594b1415f691435575aa777935203a1706201b59aec3dd7c03fb249bcce307260616bce4e7748d1e4a77f57188ec2f7b559444eb6d8ba33be07d422e4ce1fdcf93c867c316aceb081e9f1d66f722fa323afc1ad67f88ac1f6a426972a2f688e021bbfc32d809878eade5e31758045ceff396555e9bb9ae6202483f8b5eae18104f44daf71d42aa4686cde58ec2e527170857ac4fdfc9ba088cbf65383a991f5d00d1ddf392ee8e9e1e9d9a96e1455fa5cdc7e4bfab353a076b9a7b2d0160fbd', 1, NULL);
INSERT INTO public.fences VALUES ('\x8bb13078d04c74ddcfd57aade79b44c7', 'heat-co', 'customer', '\xaa8ae0a331d84de7222120b71008e29128e50abd589d1ef92610b0d5f1af125c', 674, '\xdec242d53fcd93bfcae982182a698c8a', 0, NULL, NULL, NULL);
INSERT INTO public.fences VALUES ('\x5a2a271393e442a2f22566882cdbcc76', 'heat-co', 'device', '\xcbf568c5db4cc25c7b578f6d047a3ef29a624c2052ae5dca5f3f9b63d0faab0e', 674, '\xdec242d53fcd93bfcae982182a698c8a', 1769731200000000000, NULL, NULL, NULL);
INSERT INTO public.glomska_schema VALUES (5);
INSERT INTO public.horizons VALUES ('heat-co', 'telemetry', 650, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'billing', 578, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'identity', 0, 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\x0ea27cd8d1397ce9323513f1671ca4ae', 'heat-co', 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\x0c2f864369f94de0daefc597864f9300', 'heat-co', 1772323200000000000);
INSERT INTO public.keks VALUES ('heat-co', 1, '\x0107c13e1100e02478f578ac503dc332f17863724ffdffd943d8edd0ad7e461cf4a700cd5640e093f808bdb5add5b5a28677354a93adcfdb0c2ab9e706', 1772323200000000000);
INSERT INTO public.keys VALUES ('\x08a3b0f468b240ada7028207cacd4ca3', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'heat-co', 'billing', 1, 578, 1, '\x01ea2bd20569934896cc3389df05cb73403ab6e426cb8463097ee0533ecbe7c35ab9abf341fccde18b3bc75672d45c69ef8eec479b88c2882b2e44e17a', '\x039b2ecbc8a7f59861120aa2438185ba82daed48e086dc3412425145aae1566d', 'active', 0);
INSERT INTO public.keys VALUES ('\x6fe278956f2ff6ef4738400ec18ca343', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'heat-co', 'identity', 1, 0, 1, '\x015fa08d52cfac0265ff4e11bd29cab02827d805cbf0d3cf277e4dbcd3e64dcfc18b018d5a03c0f0c21d0a7dabbf3d4636434dd0a64af80b6be3f1b0cc', '\x54a726dda25d4bf593f92dab6608cb454bd4948937db06b9c90f011dd20a046c', 'active', 0);
INSERT INTO public.keys VALUES ('\x07f04bc606dac63b7671c7a3e19ce256', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'heat-co', 'telemetry', 1, 650, 1, '\x0171ca48544934459c1487126fad69cbaa7d44c7cfec670dbb3d816c72fde599db0dc9dee89914876145012a9e3c2c49cc442b27795b9e838e187a0427', '\x7fcfd41a22b0adba6c3f62f0d3f3773ee5dea3e6cbe25c1e69ac02a5b8d2f902', 'active', 0);
INSERT INTO public.keys VALUES ('\xfe3f0735648a95d417b34540cc0a182b', '\x0c2f864369f94de0daefc597864f9300', 'heat-co', 'billing', 1, 578, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\xa9c7a9050bb22e43886d494e0397b65c', '\x0c2f864369f94de0daefc597864f9300', 'heat-co', 'identity', 1, 0, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\xe639d8b29c53ce0d269673e82937ba8d', '\x0c2f864369f94de0daefc597864f9300', 'heat-co', 'telemetry', 1, 650, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.records VALUES ('\x8480c0028e5bb287189d83a28f5e4f26', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'identity', 1, 0, 'customer', '\x0165b83d13aa834e643d7a67ed769febb2ca34fa694dfe9ea590dae72964932d33f8c3d9296a4047d78a470ccc52b6e372603c330ae92f944adf942af8ce');
INSERT INTO public.records VALUES ('\x45d538833d28ac958111bd237bd5f195', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'identity', 1, 0, 'device', '\x01e4a1ed830694b8cfff1e7d19a1fcec2018700b5031e8afb009c34f74cb81e5b757dfaed2d8fb1a6b9e87131a9d4f9ccb34a0e32826ada6af8d094319a5e3fc609e7993a8bc88f4cb0c04b73782154fa978326ce389cca9f017f29ec3724d3b8ca3b4ec822a0fafa6ec');
INSERT INTO public.records VALUES ('\xacf4b90fc172a9769ba651eaeb78d54a', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'identity', 1, 0, 'choice', '\x015e2010d4caacb0be9513c5c86d75b550359261f4b99ac3b3d0a482ccc5156c4c1945c78b957fa832be1d44e5f692f4daeb1b14c61503bca20e206d36fcc5b9f0f3441d642d9ce931013b92243bbb9c32f02619deec7749be87b2835c92d6c686602e2780');
INSERT INTO public.records VALUES ('\x60c7f905d2dd7516cc2e6a7ea6e1011f', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'identity', 1, 0, 'device', '\x0168de24180f3d750d140a5e8898015c40be982112927030720b64219b525f797e0b8b4059d1bea0589c29287f85bfd4cac2221632d2de17dfe72bd87a1642992c1df2c3e4b2baa9c19de722b820a4c5657dee8a68cb6ea7a2c9329a85f1b4aa9b8618697356686709f6');
INSERT INTO public.records VALUES ('\x3ca645851e8d0e43da82f93296494639', '\x0ea27cd8d1397ce9323513f1671ca4ae', 'identity', 1, 0, 'choice', '\x012eb5a658a60b02cbb35244b58483a2291449abce7951793239381b50a73c77ff88b1ffa8cda711d4d1f29923211ccaae0f0b8a3b632807cd7d2b2c825a41f46938f0126233187b6c3194bd56af4d560c1ec47d0f459dda0e43455a6dff819eb8e2793562');
INSERT INTO public.routes VALUES ('\x3c62e3e4deaf109de3e8ce15da058695', 'heat-co', 'customer', '\x8067d5183ae5c6cbaab7dd642448e4048dc66947f93864aaee14f6c556501fa7', 1, '\x0ea27cd8d1397ce9323513f1671ca4ae', 'SE3', 0, NULL);
INSERT INTO public.routes VALUES ('\x743fa4979ae3daf1cda8c517261e17b3', 'heat-co', 'device', '\x9e7b14246f6bae705ea3a2b7c1ebcc413a4586c82932a823543b99d969eaf403', 1, '\x0ea27cd8d1397ce9323513f1671ca4ae', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.routes VALUES ('\xb959ee5908a54734ad639aa9bcebc2e9', 'heat-co', 'device', '\x09812a173b7c2a7d80af336806f1598e4b0cf7808c9e49472160f78e6c23e25c', 1, '\x0ea27cd8d1397ce9323513f1671ca4ae', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.secrets VALUES ('\x830a0de67b9ac377d3333f7b6af8e2ee', 'heat-co', 'route', 1, 1, '\x01162a67d985a9a4db874a31f4fe7d3b992a8c33d498492909f45437d84166b267987e5ee75bdaf8b968b20b2e10cc7d3b677af07c2fc0edc1de7df621', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x1a1a102a84a7f0810b4987d2f03d2088', 'heat-co', 'fence', 674, 1, '\x019a75994cbb5908a4fe2fc889c2cc0d01364d1d21cd173e55c3328af6fe3ce0f0054cd253b2d011ac08ab0bef90adbb7aa5e4fef7c48820da5adaf06c', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x3f3273398aad94265133e9a74fe16007', 'heat-co', 'purge', 0, 1, '\x01f236ad3e1ff3c57f738138976bc22eba5fdac25626e7f3df00a1c1279dcb3a235c2659b0acf00815eeb0eb36a3af635adf5e285718eb9138dd8248e4', 1772323200000000000);
INSERT INTO public.state VALUES (1, 2, '\xf7fcdca9deed9e9b93869ec696b1aad3', 9, '\x0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO public.transitions VALUES (1, '\x08a3b0f468b240ada7028207cacd4ca3', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (2, '\x6fe278956f2ff6ef4738400ec18ca343', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (3, '\x07f04bc606dac63b7671c7a3e19ce256', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (4, '\xfe3f0735648a95d417b34540cc0a182b', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (5, '\xa9c7a9050bb22e43886d494e0397b65c', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (6, '\xe639d8b29c53ce0d269673e82937ba8d', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (7, '\xfe3f0735648a95d417b34540cc0a182b', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (8, '\xa9c7a9050bb22e43886d494e0397b65c', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (9, '\xe639d8b29c53ce0d269673e82937ba8d', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (10, '\xfe3f0735648a95d417b34540cc0a182b', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (11, '\xa9c7a9050bb22e43886d494e0397b65c', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (12, '\xe639d8b29c53ce0d269673e82937ba8d', 'destroyed', 1772323200000000000);
SELECT pg_catalog.setval('public.accesses_seq_seq', 1, false);
SELECT pg_catalog.setval('public.acts_seq_seq', 1, false);
SELECT pg_catalog.setval('public.state_one_seq', 1, false);
SELECT pg_catalog.setval('public.transitions_id_seq', 12, true);
ALTER TABLE ONLY public.accesses
    ADD CONSTRAINT accesses_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (erasure, party);
ALTER TABLE ONLY public.acts
    ADD CONSTRAINT acts_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.captures
    ADD CONSTRAINT captures_pkey PRIMARY KEY (capture);
ALTER TABLE ONLY public.controllers
    ADD CONSTRAINT controllers_pkey PRIMARY KEY (controller);
ALTER TABLE ONLY public.departures
    ADD CONSTRAINT departures_pkey PRIMARY KEY (controller);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (erasure);
ALTER TABLE ONLY public.fences
    ADD CONSTRAINT fences_pkey PRIMARY KEY (fence_id);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.horizons
    ADD CONSTRAINT horizons_pkey PRIMARY KEY (controller, key_class);
ALTER TABLE ONLY public.incarnations
    ADD CONSTRAINT incarnations_pkey PRIMARY KEY (incarnation);
ALTER TABLE ONLY public.keks
    ADD CONSTRAINT keks_pkey PRIMARY KEY (controller, e);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_incarnation_key_class_version_key UNIQUE (incarnation, key_class, version);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (item);
ALTER TABLE ONLY public.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (machine);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (record_id);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_pkey PRIMARY KEY (route_id);
ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.state
    ADD CONSTRAINT state_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.suspensions
    ADD CONSTRAINT suspensions_pkey PRIMARY KEY (scope);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.turnovers
    ADD CONSTRAINT turnovers_pkey PRIMARY KEY (controller, e);
ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (worker);
ALTER TABLE ONLY public.wrappings
    ADD CONSTRAINT wrappings_pkey PRIMARY KEY (controller, e);
CREATE INDEX ix_erasures_incarnation ON public.erasures USING btree (incarnation);
CREATE INDEX ix_fences_hash ON public.fences USING btree (hash);
CREATE INDEX ix_holds_erasure ON public.holds USING btree (erasure);
CREATE INDEX ix_records_incarnation ON public.records USING btree (incarnation);
CREATE INDEX ix_routes_hash ON public.routes USING btree (hash);
CREATE INDEX ix_routes_incarnation ON public.routes USING btree (incarnation);
CREATE INDEX ix_transitions_key_id ON public.transitions USING btree (key_id);
CREATE INDEX keys_by_e ON public.keys USING btree (controller, e) WHERE (wrapped IS NOT NULL);
CREATE INDEX keys_coming ON public.keys USING btree (valid_from) WHERE (state = 'pre-activation'::text);
CREATE INDEX routes_by_e ON public.routes USING btree (controller, e);
CREATE INDEX secrets_by_e ON public.secrets USING btree (controller, e);
CREATE INDEX secrets_by_kind ON public.secrets USING btree (controller, kind, version);
ALTER TABLE ONLY public.departures
    ADD CONSTRAINT departures_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.keys(key_id);
ALTER TABLE ONLY public.horizons
    ADD CONSTRAINT horizons_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.incarnations
    ADD CONSTRAINT incarnations_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.keks
    ADD CONSTRAINT keks_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_incarnation_fkey FOREIGN KEY (incarnation) REFERENCES public.incarnations(incarnation);
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_incarnation_fkey FOREIGN KEY (incarnation) REFERENCES public.incarnations(incarnation);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_incarnation_fkey FOREIGN KEY (incarnation) REFERENCES public.incarnations(incarnation);
ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_key_id_fkey FOREIGN KEY (key_id) REFERENCES public.keys(key_id);
ALTER TABLE ONLY public.turnovers
    ADD CONSTRAINT turnovers_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
ALTER TABLE ONLY public.wrappings
    ADD CONSTRAINT wrappings_controller_fkey FOREIGN KEY (controller) REFERENCES public.controllers(controller);
