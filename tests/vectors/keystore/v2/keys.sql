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
CREATE TABLE public.acts (
    seq bigint NOT NULL,
    act text NOT NULL,
    at bigint NOT NULL
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
    expires bigint
);
CREATE TABLE public.glomska_schema (
    version bigint NOT NULL
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
    renewed bigint NOT NULL
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
INSERT INTO public.acts VALUES (1, 'enrol', 1772323200000000000);
INSERT INTO public.acts VALUES (3, 'enrol', 1772323200000000000);
INSERT INTO public.acts VALUES (5, 'erase', 1772323200000000000);
INSERT INTO public.controllers VALUES ('heat-co', 1, 1772323200000000000);
INSERT INTO public.erasures VALUES ('\xb1557a9c149b8b221894da337dcef8f5', 'heat-co', '\xea2a9de89e5e81367143b74f11b40112', 5, 'purged_once', 2, 1772323200000000000, 1772323200000000000, 1000001000000000, 'ef4b9d67-69ea-4896-b2f8-6940cfe11c26', '\xa94af13a2ec8f9515c0a3c5c6e70bae8', '\x0184e5254d1acb40abcc3a3a6f9af7ba736859772b4358fb8fdf278926dff579605cc31c963696d677b95a46b56930c082d53b467fb15a7a86db5d6fdf7fbb547fbe140379c23297dd3ec0cb3f8e74517bf276a59de0c7589a16a875153b2e8c1a76efe13530c9f2f9c7bbf85111230ca52d594e6e6eb810c21a9d18e9d0c5ca0c298971134763ba22432a9f6cc406f04c563f3e8a8eabd0baf147a129eeeab7d19d3652aaa4c41f5e8cb9348ed43a6c98c9b5e5e62a9451c8bbeebd82ac8c74de73d8795a28132572ed2034efdf75b022b1875ada2878182a0d3b6f4cd3495b19ab9c34b5628a413e612f67341a30be5efa4d228d654bda08782e05e07d4068397c71e41f756db473e64aa2c3c4809c6152b13ef24b88f9891d53ec36edcf78c109ec794fdd5873ae952d37d36c7357982c691261a02c808f158b7e9f676959933272466f6eeb3dcf381c319c82f7add7809cf1c574b7dcd685815d97d3d1fec4dfd462fee28855e6845fb98ef39675312aad184fec07fef574bc1e552f242d29f90d6a9b3842aadf3a097d0138ed5d51b74722835e03b90d83f575fb904c1a87446a5e44a8895ff918eb12dde52912e38957496b3c0fe4a6980ae82aeb4ba8c4f5410a298dc084e312b3391cf45cfb4f1ffdc142f015df1512eacc34f102a3c3cb18a4ec233a1ed97e2e53d6250e35e6c6189994df41cd3af1e933a1acf2af7d98fa5061fd24a56d63840bd4c2f253a2d5851f89fd3ad831386471b32dc2a3a7a292223194c43a4b577c84dee64d28ced51643dafb0c6f6697dcf67bbac14b267b1d83f4624a9e996361d82985bae2766e55ad783f2e8b1546a70b450f3d827f32da7074ba61e85afeeef32db7f5bdb791917c8e1ee7482a1a23f82aabfe8336011e2981de13e0f77aa24c8bc4863686a2f63076ee14586076fb91465d614919b8010def64c1cff9efc5e9e6dd3121d18d35322d14ab5dc9046a6f470c94856240722d32dab749237be2f398b10a4ee5d67079e6235bd5e4a5152bb5e0a160e2d4b86c775da9eaa264dba1f95b7ca1259e00b69527100e9b2cb4bef0f92f3d6327fd4566bc12621c8e022e39ddce1a2fae20cece57f04c86fc654b8d80909add0258826a3e2dfdbc467f74ba411509a81e27672a4993f7ca28f36b9db98966530d448f03a21f49e9dc31577270201624860a47ee3201b4cde5906741d57e13b5aa796dd1296a31450540d2d308b831f90be75829dd122f4c0185aeb7bbe73a5777df213f99afdc202a45b9ca9e98dbb83a2c1106aebaa6c02285663d6f43f758656d5926730989bb60ee9e2bd9c853d7888b3a1fed5ba91f9d61e61c893d600b1cf23d1cd6f351e2e86bf8f5e1de656f2b24b8c9f6e6f3ab1dcf8736a27c4c3c1f021a3d9ffa3ccad5caad60ce56553c071e8f3037a94a447ec9b7a35e1671e379b9a362738fa8d7b7156d00c1b2cdf2de7a4446c842b5ff540c6b23c61970b3b0038de8be48c6b6c0ac73e9d4dda886031a4a72882b097da1b0f794e3a5906df604b4abf8d24b099c1a5967aaed65dcbc5bb316cc1f870f3d58a4fdab2a4d8ad48ead9df9d18cec83e30a83c66bc80c08f4bb570b9915623fbd483aa0f721d34f4efb321a899fbde9b6a2ccacdc999e98f38df51ecd4181f5ac6c5f1b93356819462464277a9f46930dd14803b9ec7aa79cf013eaf184d6adc10d1b5f96e97a025fd366f1415c54e0eaa1e47a936db658ed265e49012b58122e4b4eec57ce9f34f07de592182080624ebe9ada62eb0d991fe01b46aa30279aa6589f2aea94da67ee6f33e930667c5c0cb3d3a186667c1b09d617be5afba540bd8c27b6d6fa70be69a306a9681eb9c42050fab2a4448d1ceae6a6be4b6f928ef57f048396e6509b3d1016c9a34317beff8b9683ba3ccdf99f34df840c105f6bb982a3f8ce41fc4704893ae5a65dc1313b4f1d6d3bcbe58914ab3f80ad234450eefd385a6e1c31fd7ef4f9475498330dad531da158d12523332de16e9c09bb2435d7d187f602857b6f924ceb780b9449285f43b7da3ebfafe56bd1a7bcfb1ad0fe6aba9d3efbe052e86efcde9881157194f59f7beb353730c6083a5a44e411363a04dcb09940e7e626117caad204edac78238c2a164fb31d3cca9f797abc4019b8ff5a123fc683edede188fe13f602b6bdf4e2132e15b25ec6975505be3388df99c0543e5e81e040bb7230945bf2dc9f3d7d9f35052b5ae881ee7e7accb23058a46adbdbd9be854a3341c6f23cff2f0d25e3eaa1a123f33c4e1e04f27a6d0e57b31602b6f01f5b1453040706deb2b821be426ade73df0913a837a922e62874f8c729e84151026a41871bb52142ec269ed06afc2c32b9020d9ed22561ed55613cb93fbc4d539b2fdc8b87fe1b396faf4b77f6be201ee395d290cceb23b30753c7b7a320fef2babb2d9a39150b23dc75cb88f8189a8a881f44755c8004199ce9e3228ab610db1a0816f5766110c19650a3f3cf52228255aec0564aa5ff67b4f85dc53a6a1cea829b062e74aaa9551f8ad78cbbed19f3110fe678b5db6776b94111c564e5e0cb85b4579ac3ab64d623f92d367da5142777a4ee5ef06ee38af2c6e8a2ee472150165b62a61ce3233010d139da798240be3d2f6a37f503e20b1050d899b2419f48898df1d24983ec3fe6a33fd576d6e4ec18c24448a514fbc28f7bfbcdc63a0a64f8347139f804f23c3e78d29617878f03da8f9de791ccead14a5e819592e1532e84f9ad41d0fe51f3fadded56c5bad0bed02a3ca5c91727f66b31aaeae1cebf47f5b74c962a899b1470e0fd3366112a209bea0a60f4196101071485b2324395a6a0831a042cb8db3225b3b9930fde62be69e8da08b93dc996c005f07fe8f8a5e1b64628053b06d27accf1d708e72a02aab05b9ac2f788aeda09ea704e9b11eaef5667ecfcb95c320fa4f7a772f6d2c18321c5bb0f48ec2627e110537171bd16bc402ba5389eacb2a0d2d57db901ad1b6c50be97fe8026b4e402cea577935045c977c413c2305b1258e1a0a0ef98507e085d820ed3ab4ccf41296f782fc7b176c3cb05e7f03de743271b69102723983581127fc2b9a35c953d770dd96e126c3bd5f33c62aae56d57949a7756fd8178072c67eb3ad12104703a2b7a35feb6fd8fab5154362643d6508db50944aeb76887e3d74877bd5e1610648e155ce6e1eb66f09d163ce5a43ccb87baa586621c0072cd94c251c8e8fac810c2a6275c718075cebc503e4340168135d4d7e2b1760a387a1a670cadd1e7e0228e9d15f37bb3e38358071889d2e0bf755a0b13eeb17cc58374547862c71ff8f12c62dcb5d8b84b4ea13417678926e395129d87fb57f41fc2099efe98824de8a6b8c67eda28ae5e083d8ea4ee41e7cd82657ebe84f78738d3d7f8a6c09bff37e191b54ca8ef88054604bb0c9539932b9889ad17787f004ce257d81de7153cc3d2eec933d6bc0af840e19863ca33c6f11522ef40e0db46a889d4219097e683dd1191ea83bf4719caade6cbde3c34bdfefe7ed16beb8ec3e902afbef34e31d6a4e6f81a64ca34a88fc2f86cbb39c75eeb08ac483748f46cdac51b093571ed74ed6fd0df132a2c4574eb6d7a3fbfeaa66a8915c275a266bf06075bcf5c24ad36cdd15ac6bc0cbba068ae09e2fdc753925e3e7da7e2be08059125a4bcf5fd5d2e2ce5bbf6265f6928cf8903c887e6c352bade6d8bbb652e8f81ccdf4031e17759b4347e16e049de50e0ddce1781e0ec61dc0852e45a8a93e28baa5a3011e7cc97f89945e61ba33bc8b3b7997465aa5a44206ba62b6a7c9ef8c2a33b5e45b658a2197a0cf8bafd2576bbc037813f22ec1be25604259a7510ca82d00970bd9dca92848253845ee91caeffe480516e220742ae566984819c7bff8e4752950f73935bd3daefd81744189f93d894942cb2c5ed28a1e36530c7c98756011c7e420e9300669b0dc77b0fabf29ad07bbecd1b9e5e3529c2ad6b9c584369ccb8aaa4abbdda5dd42f7e7ff0bb903520f6b96b304c314054bbd42240211b09954ec7704fad874d2c39cf20d3777ec88a27828a19c3e3eea8a84f6834b10b6b9f22a253cc7dc5d997db9d7e00d1f8efa54a7c2490fa805dc0b58814daff993289b502ea8f993abfc8f487fb1ec585d9aede9323632ae0af9f90d098aa860910133204d2213a757745bbb39bb4c5eb01f2392188ee3517ca79d91c06f10e180c143348e3628eef4d45338a4622ab02672186f8a40535634ff17e7c99c679fab6cc88681f603eddf4483353e661b0f8778208da046de4cd97cc9b765d74d95fd13437281e3431ac94d823bbd42e1707514b84de863010050b42cc065bd18db4a678d82c03926426b1ca0a6bc8690e7befdba002fac072cec1cb6c4a28440095a5db6d85a1797561baf2315a5707b99adf1071234456135981d0244e26918103da6e9d306f88643cc41d4261a3dcd4ecdba3d5fe9479db7f6bbba8901f77ae0949158e55a2e9de4892cba248d64c3df8c55cc5b925fe5431c0c43274e362bab8f901164f8488402fd2ee21eaf27dcee4d5d0a0ba1fcb8ed9fe0def61172e80fabe1a120b4ae87f62482bb0733ed4322d50f55c6f611aaacf52a92073066b6137b25587cd3932ecec286702b8a4777d16c2c0c926997cfc82eb7b74aa2bbfd3dab8c3319d8e432f00005e6e5798fab90081fb338f90da9ea1fb1ba48ebd20fb3340f3edaa8fb5f203259361a302b0772078b8ef8a74864d3e59f465367389de1ef34bd1290229d46c6263b1e6f557e96565023ce348b76cac643e7bf34db5ddd43554d011f57a2c3be4c8faaa0a994f2a009d8719ab7ac82dcda996742eeea8657f0e21d5828d7c771eeb358a366997ebb661f45927f57ee3a58deb837692ea5747418d3cbfb58bd330122da36975f9c7c05aaece6b5dd7a14b84c69f19516c13cf370e82a7d2e683c08dfca4e99bbc95b3d9fe697bf4e3fb2bcd2703ec699123c90d68a9fe49d7eed9618f03a058eed46888b3f75e26ae5585b99c8bbd8e24bc6d947a24887c4dca0cbca55f3d9c2c88c2ca48d53ea72e908a1bba0609c100f983c6734c62c4a0247eeb6a44b5dbe059d107dd434d1cd50a212176d95841ce520036b573f00b19a9ccd9040fbd78ee79eea02620e784250dd4b76785be4cb2d67ae85b8667305982ffd0787ead09685d5677599b8aaa072e8da2b6fad98bef495d7a047db9b3343813977bfa61f467b8f7e9510d53b1421fc9e62543387a61e4410167941221068d359a51853064092b7a58b7d57ccd52c023fc917c8bf39fb7700a5b320c9847e66ab1b5744f97ed158306d804c016a96d376e2089f2a7d7e1a8745cd3a0ad2daeaf68020a2486ff14e4081955804e8f98a150b47b7b2a3fb3f485d022fb25539737ffb5680e5316683c00ffbdc90bab4ed1880676d60760db27295c2ef70e2a90704f36947267b137b88e080a357a1895888a2ae032edd9c345aeb080b00735fe2aa3bebaec09e9f7e8012976bcef28e14d43e2e849faf229579e010f05617fbc2772a64f77ad7dc827e025b9b5ec7f1c', 1, NULL);
INSERT INTO public.fences VALUES ('\x5626e6c6912d26855c407ac4259a389a', 'heat-co', 'customer', '\xe684e29833cbe75bf714d6da3ac12c1301fece8cbdc8f93cea160a76c301db92', 674, '\xb1557a9c149b8b221894da337dcef8f5', 0, NULL, NULL);
INSERT INTO public.fences VALUES ('\x6cbdf9697f2c8b5568fb134383313a48', 'heat-co', 'device', '\x895546a9ca099ea96dd88534a3ed4ee2fcb236d86fe4fd97888a7b8d29c36031', 674, '\xb1557a9c149b8b221894da337dcef8f5', 1769731200000000000, NULL, NULL);
INSERT INTO public.glomska_schema VALUES (2);
INSERT INTO public.horizons VALUES ('heat-co', 'telemetry', 650, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'billing', 578, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'identity', 0, 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'heat-co', 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\xea2a9de89e5e81367143b74f11b40112', 'heat-co', 1772323200000000000);
INSERT INTO public.keks VALUES ('heat-co', 1, '\x01c7b1bdd087d290caa20638df6e4a48473d77592e4f1fcdd55a8ab64b517472a176469fb78412e55a4e2979dc70c2f3d9c59272f216e0b2c797ece321', 1772323200000000000);
INSERT INTO public.keys VALUES ('\xc8c26f5d8b511a6ea84c135a726f7091', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'heat-co', 'billing', 1, 578, 1, '\x01b6410c811ee26e2066bae787d532026689772aa93b174b49306175341bd034ce3fddcaedb1cd0a64c5f73a8d4199a8a6cf0e708aadf67aa5a9800fc1', '\xa02285dc3f386b915ae602146a67596fe5ab5bbd1de93ce94e49d431a131a6d5', 'active', 0);
INSERT INTO public.keys VALUES ('\x2e1c6bce578ed8b7dbafa9f2af10aa1e', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'heat-co', 'identity', 1, 0, 1, '\x01a3f556c77fc64ba0a90caac3b5c8a6b171cf9b27c5db2b01943cee0cd9c8c0bf65b3746de9a6fe4a9f4aacb566ad1df9ad83ead982d2eb7af530e1e0', '\x492eed65d931968a78a680246f237133af9acc0df4d981a636635cdd6dc297ed', 'active', 0);
INSERT INTO public.keys VALUES ('\x3735ffb6a508ed4bcf01dc0e3e7cd070', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'heat-co', 'telemetry', 1, 650, 1, '\x0195e0cd2ad94c70f96f8ddfa349955299170c1cf7a2562d0e90f4aa1c658d6d3b0031049851cdcefb6c1b140e7664a7d4aaf42aa6d049f16015034b74', '\x7222b74b75475db38109f69d173ba7888dc67ed5d4cf5f11adec29ed7f252c99', 'active', 0);
INSERT INTO public.keys VALUES ('\x655b308be917ba0a4874e4993eda755d', '\xea2a9de89e5e81367143b74f11b40112', 'heat-co', 'billing', 1, 578, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\x7a70827656a9b47a533179b9a4292101', '\xea2a9de89e5e81367143b74f11b40112', 'heat-co', 'identity', 1, 0, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\x42a6d108a9dfca067baacadea099e52f', '\xea2a9de89e5e81367143b74f11b40112', 'heat-co', 'telemetry', 1, 650, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.records VALUES ('\x51718b36d79a50a3a4a8ae324dc124dc', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'identity', 1, 0, 'customer', '\x01f1a4ec9451e87fb4821dbffcd91d59ad788c5cc07702d1c191c83791ff2f38d26dcf1ecf750ece4f17c66a4f90924bb1e1898ed79bdb48e148fb54c03f');
INSERT INTO public.records VALUES ('\xae8ed12083f303c3e062f84e4fa5ef96', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'identity', 1, 0, 'device', '\x01a0e62287f302c7cf63bbf0530a21408c054828a51f67fdf16d04cab7dcc0ee4e003642dd8bef6a57b7c56cbc1ca12f11c93a895be7a9dc419cfe934e1e601682fffeda5f8f2f8b40e26a78a26c5e29702ad32d555aac3e5416d83984f154da8b0102894df6dd4158a9');
INSERT INTO public.records VALUES ('\xdd5751153e04412171c5147b8676997a', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'identity', 1, 0, 'choice', '\x01e826c788ec1deef17093347c0e7e34a2e01634d67966b166506af06a60b7aa2d73397d0055f1d4399c01f772c3026493de7469db89e9e2cfd48e052b89574c311c874a42e9c0493815d047482df0ca7cc4b8c408a0ea1f41f7eac6a19d6f0954aa68a820');
INSERT INTO public.records VALUES ('\xc92e73967167637a6aaaca033d8621bb', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'identity', 1, 0, 'device', '\x0138bedc46f6a748ee6748463a8119efe86fa3eff90cfc2705c4624d9aa784734a9917eed44ea5cbe6d942bb126ba85e60d7a4fa246ce121017fc29eff49930e743095dfe3bff33e6b4e3322e4d6ba39d9afe98d138d5a599eadb9af1e81812474a5f27488d01cf3f796');
INSERT INTO public.records VALUES ('\x0b038005f61082451d83867bcb183a4c', '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'identity', 1, 0, 'choice', '\x018b9eb0119d2c57fbd7a0079333dd5b55fc5118be0faeef6e159d3f6d14a458d34a0c953de4fcbeff5975f85c28ea97804e8b553a3eed3dac7f082c119b6af3d33ce7790c81a16e7e09a162ba1fa99b73d0fbf8276c0a41caed02a203ba91bf7b7331934c');
INSERT INTO public.routes VALUES ('\x7a8c3397f43dcddeb19e8ed4b3f76b5a', 'heat-co', 'customer', '\xc7cd1f9b192776914e5b53e981d387bb2f4ad3ec97bf634558de3955bfdc541b', 1, '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'SE3', 0, NULL);
INSERT INTO public.routes VALUES ('\x0b3ebd3391a2379b405d429e708015dd', 'heat-co', 'device', '\xba63bb089722eed9f953ffd511ab1ecb8cbbc0a93b1d9236451ea37f0428c3bf', 1, '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.routes VALUES ('\xfaa1044b670a1bbd60228614e52a669a', 'heat-co', 'device', '\x681a59f97256fb3ddae87f81316a44a4ba0f8d2eee329653958d1120b8f14bf5', 1, '\xc2b4aa2f4010c6a8b0cd3322b82cb1e1', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.secrets VALUES ('\x301b2939b32c1ee85b460a0e2aa93388', 'heat-co', 'route', 1, 1, '\x01388d8ffe0d843110407c3a1804892f9e822e56757e325ce86e734951ef0b5fe8134b8ce8ae47f9f220628fe593adc8cf05c00c659c20ccec363fc7fd', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\xf1dc28a626c89faa1c8e7d564ed1b02f', 'heat-co', 'fence', 674, 1, '\x0124b6c2092e37cff7926d1334a0bf88a032a153d7a6bbae16b2f3bfd13750f6267150bab42fb0a871272941d1ebd670915fa4a3d915e0802a61cffb72', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\xa94af13a2ec8f9515c0a3c5c6e70bae8', 'heat-co', 'purge', 0, 1, '\x011f57ac282955e4c66faf3958d17653ad4e887d64d810edf7b627c2bed510a01a997a70be30966f19e2079f1da1f268a414e348380b538b1635a05b78', 1772323200000000000);
INSERT INTO public.state VALUES (1, 2, '\xb6a20cc560f3d92fdbf05bf17c2aa2d6', 6, '\x0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO public.transitions VALUES (1, '\xc8c26f5d8b511a6ea84c135a726f7091', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (2, '\x2e1c6bce578ed8b7dbafa9f2af10aa1e', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (3, '\x3735ffb6a508ed4bcf01dc0e3e7cd070', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (4, '\x655b308be917ba0a4874e4993eda755d', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (5, '\x7a70827656a9b47a533179b9a4292101', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (6, '\x42a6d108a9dfca067baacadea099e52f', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (7, '\x655b308be917ba0a4874e4993eda755d', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (8, '\x7a70827656a9b47a533179b9a4292101', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (9, '\x42a6d108a9dfca067baacadea099e52f', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (10, '\x655b308be917ba0a4874e4993eda755d', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (11, '\x7a70827656a9b47a533179b9a4292101', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (12, '\x42a6d108a9dfca067baacadea099e52f', 'destroyed', 1772323200000000000);
SELECT pg_catalog.setval('public.accesses_seq_seq', 1, false);
SELECT pg_catalog.setval('public.acts_seq_seq', 1, false);
SELECT pg_catalog.setval('public.state_one_seq', 1, false);
SELECT pg_catalog.setval('public.transitions_id_seq', 12, true);
ALTER TABLE ONLY public.accesses
    ADD CONSTRAINT accesses_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.acts
    ADD CONSTRAINT acts_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.captures
    ADD CONSTRAINT captures_pkey PRIMARY KEY (capture);
ALTER TABLE ONLY public.controllers
    ADD CONSTRAINT controllers_pkey PRIMARY KEY (controller);
ALTER TABLE ONLY public.departures
    ADD CONSTRAINT departures_pkey PRIMARY KEY (controller);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_incarnation_key UNIQUE (incarnation);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (erasure);
ALTER TABLE ONLY public.fences
    ADD CONSTRAINT fences_pkey PRIMARY KEY (fence_id);
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
CREATE INDEX ix_fences_hash ON public.fences USING btree (hash);
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
