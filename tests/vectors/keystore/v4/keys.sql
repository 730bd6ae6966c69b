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
INSERT INTO public.accounts VALUES ('\xd7dada7d71398dd4edea50f0dbdfdaaf', 'f5facdf72be8bb4c9326322468d7cead', 'worker', '3d1219c7c4c5404aaa1f6d2a48adfda4 ef4b9d67-69ea-4896-b2f8-6940cfe11c26 pid:[4026531836] 1266 2808657', 'ef4b9d67-69ea-4896-b2f8-6940cfe11c26', 'acknowledged', 1772323200000000000);
INSERT INTO public.accounts VALUES ('\xd7dada7d71398dd4edea50f0dbdfdaaf', 'queues 3d1219c7c4c5404aaa1f6d2a48adfda4', 'queues', '', '', 'purged', 1772323200000000000);
INSERT INTO public.accounts VALUES ('\xd7dada7d71398dd4edea50f0dbdfdaaf', 'broker', 'broker', '', '', 'purged', 1772323200000000000);
INSERT INTO public.acts VALUES (1, 'enrol', 1772323200000000000, NULL);
INSERT INTO public.acts VALUES (3, 'enrol', 1772323200000000000, NULL);
INSERT INTO public.acts VALUES (5, 'erase', 1772323200000000000, '{}');
INSERT INTO public.controllers VALUES ('heat-co', 1, 1772323200000000000);
INSERT INTO public.erasures VALUES ('\xd7dada7d71398dd4edea50f0dbdfdaaf', 'heat-co', '\xa4dd5f2d9efa91aaf42692c32338c1f5', 5, 'purged_once', 2, 1772323200000000000, 1772323200000000000, NULL, '{"keys": [{"key_id": "4cb1ce9d6eea16c0ea3f9b9e00eedba9", "class": "billing", "version": 1, "base": 578, "commitment": "5669e8bdaa0a5571c4c2f7d4a4cb9627df3d7aeed61c3c1c08f2d60555bf0700", "e": 1}, {"key_id": "bb1a2ea47e32cd86f2e04b7d4a55c922", "class": "identity", "version": 1, "base": 0, "commitment": "10daa958bd2eb96d44c4b3b1f6fe19dd88b747be4cfec9d0b2a3f9462c3382d5", "e": 1}, {"key_id": "9b9e43a92c5fcc51d83c386eb2ec2d71", "class": "telemetry", "version": 1, "base": 650, "commitment": "80b9b7854d391814e02ae1093cc1be69b1e7f2de000af1d74a1b6cbe64fcaf26", "e": 1}], "fences": 2, "custodian": "file", "traces": 5, "last_e": 1}', 'c04f572d66bfa8ecfb4c978c306ca1a57c44c922916b3a2842f5b8ea369a5c53', NULL, 1000001000000000, 'ef4b9d67-69ea-4896-b2f8-6940cfe11c26', '\x50f120df733a3574ac4fd15bc67f9231', '\x018b623d5627c5c15a36e0eba01f5f318efe6d3b532285a9c765a6c7d29a54d39db88df6cce95ff11a51f38d485013c45ae2e5d16211a3c2526137d50443125c1a041aa1f17deef35e21df73f7372e45e4232918480d1b8520ca3579e59ee73a0cd7ef1163155910431777ffe1ce1a2a2408f7deb06534d8100e936f4852a8a88a97355deacd07afa6e6a9be84be2a790458856d5f938f796cb765fdf2fe127ebb6433359933f45bc5cc3e840ab59d3a34e28c19a4e0d5f573e49b0b05ad46b1a9959a89c324e96106f506126e261385999f85338819c7b45ff01baea5405fc3d1d294aad39c86d49e188e52e341bf6eeacc863abfc6ad9a5a13709007dc024648351719f60db4500d0e09840a5e2928aa5b42b639d944696e9366a8b299484ef7f62982f6685c0b79ff5bc0b3ba782b8576202c1c555532b3f93903abf58fb320b842aa0c750eb7c3d667592018df0faf21f69c83fc468ed9a0dff06d10cf07a9607a4b48b825dda92f7a2565d1138f78830eb8ff32a90c8ebe581dbe3a1ded82d9d35b5683711f11102c627ba242d1a5e7eb63c12feabf8c3e75d610b1a5b56c6fe4a7bfc4c4af97c48bbe6b9b90d74441ad7decd9cacae813f8d02bc5ebae1b74ca886d7cc1db2adfc5efd68966194456f800473baf451858e1b4b0b3e3564fca1e424381ee8c32738503e552962245754e275815cb57bd3eb25d49f795cbc7bfd43ff279026539e09be76863f28a40413d9970f2225989dc04744dc4cb4e0477c1f6d07c5e3f115eae7690fde321089860f9a02a662927e39f31f8f9f13d7e45771bc78911afa740f71ca3836983164aa47eb72463076b8c96acde436848f213c8b39e1040c2c1bf2b9665884c7607e29074a1b2052204e457d0d4a6b999f377b55dfb6a5a6db748085aa8a49b6059756bedafad157b02b54f602004e885032b921cabb81398e6c149f077ea76ea07c2c8235e4df812235d76b3c8234462b5d23c6a970a924f7b8826c5441b9c0713da28112402452b9a9b3e8b2797bbfbd5ee4acebf590aef38326aad23010f715bcd71f9f585a9a73cfa7464c32b8c009174c4488c6b15c62611af4377ccdc08fb07a9111ebf2aee2fbd6be5e3e0eacd610bf40e8c49db69a13dee8b0df367adb3654a43e28fb87e39298fdd743f2a0c87b96d05fbd30819683f52ed817efb3c26e1a2ec611200ef69e676e8bb60378d60c96e2dec99d8afe07fa30fc15ed2b6913e1340e907ddabf772c26b24201236a57edc5f30152186fd409fe29a10a8b06faee8bd8b7acedc2423700e98956b496995ba73787c3e0c6de56a0e615d07c879ee7fdfa959c6dbda7480c390094684b3f7bc8188aeb2d4436424f2acd9e6a31709a9df0a9bc92301a37daa28cbae4ad12cd7d535d63caeb037ae5a5aacf9a26d6cdb43aa5883e1efeccefd40434e6ac9fd8e6d15f803d0f5043f97cfbdf2ff3fc9a1125b61553a831721411f3d7311a047ad2332f1eb06cc1ddc016b9ce83cf9e4aab6aafba3531c9168d33722a7c148c4cea4a04483bab552cecc6b0df161a9c36c5bc6bc39c066369e08a7ff9bf8c7b2ddf29b94a30ddcf4525168c5e7b67733ac42ef928d3e4ca2617fc9f5b9bb2d2ea46e7d0e97d2fc73f5293e31a82c45f3b6f01b8f5f0966a594a0b2b6b3cc0c986a65662762f264f6443a86786776d565750d1c638059f1e843796a3a86fe00ac11447ad72f974f2666b830323d92bf65b279712b58aee5439c8e3dc38288abb196ae31f0abe49164850c5982c7adb7efd87adb9172f51fc476ea515a7a5998ea8abcc8de6f728e47440a1a94ad649838e51c90c8366ef7955c278263ab903ad2835836757dc13ee2c4edee5458c1212710ff9f029af903a51d0aa083271c72222279e190c57f21ab30f18ec3585d8e746f8c8f65cd181000480314bfb16c4c88f467a7e574dc9f1632db1799f9f864f051cc7c6ed0bd4b44b20f914e65ec4cb54fc36fdc94cc726f90dcf87adcba544a94c82551be5ee79fdc50a7cde009b515aad2ef173f32032cd607d55d821b650d04adb1754430f0a73093b8955b9e5f24c5c67bba382fc3dd160bbe4cb7722e3fee28430be00d8556b4d0f9bb9689da7374c4ea9e034c4ad54372dc9c3b7889affe67cb410edf33dbe1722a2140a1138789866cb727518c4dfc9fb63ea74c1925b15e516680492ebf76d108ab4bf7f640f9516973889ba0887982a2e38f7545665b252f3c9fa3643ed166f66119d444c4972185779a34ad23fe8748025cc6b281567ecbf218e93d3bed7a5137caccd7335871dcb1413b53f371bc9ce0be0d0293c351f5235a56d871a532f6b34e022825733aab0c2c003b7aa193242b9178c8e0d5ba1180d6f43db3c04a4de2cfb457383791548115e85df622d18101d418199fa449e02d79eef326a7ece2573b7cc13303844e237a2b2dd81bfe598b224a6c58a04d66049e43c0e9e4b58182650254f90b0dfbf4c7d7af7fcf718d4bfcdf9fc619dc1fe7b6cde108c1ba46a8b8895e97d49e15ab399f28a863d030760c32d316ac73809e63a96091a27db2402fa0687863570c2046d9aeb441ac6901b81dce75ab28522891bbdfc8a07d8bb8dbe63f52bd2c5e4be013a7cfb024ccca7b33e703e550a83b4079a3bb8c1185f7e8e3ec0190c62743e9eace017ff9f16cc8417fba10a9a77d2e082285ed31f98947c09d752340d024ce804b29f675d150a8b9cc0513dabac518473cd9cebb4b488c85e02347fa3fa252d73b4bb1912aa0581d2f07400404576af7962863c1e3820e21be08b252601fe5090bf7980165ff8c1efe874026c2dca09824437eca22fc79ec098a349cbe0c45f69dc54adc2d44cbcb8420fd0b007799570ec1e5988d7072c3cc41a6f779da79b4e9a14f0aa1b5f12e651aac7b38d18007427deb52aea89d105c7a2b158fbed328560c403fbcca5fac321ea1658e14308c07e37d5fe01bae0eedd2918137234d4750438656b948ae4078acbd6467f9d7ed829227db8661be9694909241a2aed8798ef2f2b8b8ed709545d17c77580b2b145b36d8191c21beb6b9614b2e378666e0efc1a7cb8cd4c8fd52200a7621d184ca640d155f5c5ce02ad8702cad47fa37f7ba0ea61d3750e5b234cee81c053e86e5ed78d14c6eb157ea8717605a09ea11ce88878338153e0730c35f1587afb2f60d6245a63ede2d0dcf708b9b0d6c1f01000fb7aa42f30dad429e2db5f12ad0b52e3c36549dd4d5d0966ac4daef80b0e70402f3c8542bd096e1a44535d3169a69404db1c5f8a0a8ef6e4e16289a5e9a411ef906ec7af78e8b6c1b0b56d8c0af866969ee304a8996cfe37d8158f02ba16eb8c2f45d01bfe190d20e887e30085bd53f882a69c94fcdab17a00440c3cbe1906ff1ff55f49877347a572631c2d68a36400eeb978f96055a896cd43794d163e7553b52b3d299492625f8cb5f5691dccb62d3b368135145cd11818379ff9636f1e674c60a0f686982029292e3b0b58dbb62df83be9b144dcbc651e99783b0f2a69a66d79019047a26d4c8b0ebf59775681e251e288a528437d9b1d94dafcdd0389815a47149f85f46b0227d554392c9359f69d85d743a8acd466efd0cb09395cc47e425347d6f5573f0c8e63469d7fd8ca62c21b6eed92215b2427a8e0871787d7bc958e719280eee35644df23e8642cf3b3edb82170b6f452c4e4b70a1144232b6a4c8702f733f12f4e282413f24a6c0b0d5c2ad76379c753638c5ff363035947a2f5bc83e4d74c5cb149135458cd23268aa1a83b5cc502577dfaec4c610763b033e20aac60700ebf07edf78b13974dd58bbc7dd96678f54b2247f5ddfd62f5372a98f3490487c387acfc4b50d199f59e23a5448965657c6caae21849b827815e65c03aad140d8a2200194aa409f09c7824fb1dd4739567f0339f2b752ddabe3cf9e408daf0e5780ce0157456f270e3e8880fa7c5641df2c59fff54d393f6bb9952262e14051dc52077eefbf09001dba230941324e5830ed4e433f88c2ad1048d247d132f46a1211ca45689b784a93f0f9075592c7cbdd61834e7cd9018a458db142b17eecccb4a8e93831b2497cc9a66ca08e54dbb5c79249b39b082a64fea48d38e7e765852ffb9dc248eb28d69022b19313daaaeeb8dbc9eca15baaa43f986f5a58a4a544a05a8b71777f659bc7f2f5cbc31c90d079426605fa21d85a8b9121d51c87395b73d8a0c8dd10e3ccedd4f5ca053030a8459ca3627a90585516e1c096f8bf1238745602e6e6ebae361ac55d4d634709c6d8eba8ea489d7e97d63868a78d556739d9826da9ede8a68598f1dfda5e0d26db2b0ae2c11f2dc0a79a571cb66d2eefda3c3be24fae8de7039ca3b54332b07b43f9211381b5c41cb9bf67b97559fe43195a855289ca6fd52e9e91d5ab6a698d2bc7c652ef3418e0dc64d295c06e5124295c1b41d89b448fa80166098703c27b06c60880e9885f00099e761a6c1a076d0d9d8532d90a77a22d5717b416c4530e66a4c12f3952a38441b7b2d71491a5ce41241edc8faa768296b4e9c053d95ceb15088677c0d897ba5f36367b05c52eaaf55885c36aca6b7383945bb29aad5b6c4e4adfc70f9ccf21254e2439a2e82ba4bee9b661c3d2f1259df83aef27769084f8a6881135cc1cc30815a8804ecaa329c507f8d4cbe13a45e44be9580e1fa2c9103ca63f0c338d746c0a09a0cc93c7324f5be194a5e38f7469e93a3bc0651bafed34b1ae1c98d4019f3a2a60eccee2c4fe5a43cdcf626684352c65ff7b2275067930a5aea1a384a0c07e3ab6760686b63e57376d7799d9e8eb81bf7b9f9a540e05cb22304bf3c25345f9dbeb9216d8012d457dd024f5df523688f3affdd4a7bc78dbcd567ec8b1e210cb5f739cfd58b2ea7e62631d9ec43981d0e261023ca624d484dba4fc4aad828a968e3aa71d869518b7f4150634ff7674377d9ce72d271e94a507aa2ec03e032c5e5f866363edc861aecfd8cff36cfc7fc7f6e966f2a9a752eeb559e0e8c89f82be7880b6f2bbf7f2a3e916dd84928a2d006b4b8f5f9346e044e58367a272e02997ea4d09d756abc19026e0064835507bf5ac7f69703b96dda49e25a3cf2b20f8790b707052aa8aa402375620dd4e760311aeead88bc4926e1178ed5e9488a77f0b43dc1239b408c9c641aca5bc58208c3676a7a553815d086c17ebb55a9efee8473b639083345655b9ef1639f37e12f57ce5515ae0802353d81fbb34151d1e2fa311440a210eb2291da0829e72e8476edda3f62c072dffb82e18efeeac333676e364cb88cb2452746b0a61527c73778eff81ea5245b98a6b1cef4dea2acc35d442ff6d52d4a4aaeb7b84a4026b6ab2f14f371ed3a5573472beccd2ca21ca33b76a457094243f13929c0febf5d3f623d163a0a32b46984799a7e19972e118423ecd47ffd8dee148626122306b21ceafec2aead81b28ae02847f1e145abef6ff3f36c50c6b3b37898568f7b125b9616eaea5fa95abb3e5ddefc2264755c6c748a9b3345704f5d944ab003913ecb1f6a200c44782d636f5d2e0a0007b993c1ae352', 1, NULL);
INSERT INTO public.fences VALUES ('\x430b65465d623e6e3f730054bc14ec8a', 'heat-co', 'customer', '\x225e783f646e624609f8c157a9464901e6d9dd2aed3564f50dfa5dc34c0af4f9', 674, '\xd7dada7d71398dd4edea50f0dbdfdaaf', 0, NULL, NULL, NULL);
INSERT INTO public.fences VALUES ('\x886fea8ee5cbbb5da009ff83364c4535', 'heat-co', 'device', '\x64f147e839ea001b099f78ee2f7fd8b9721afc0ea7c34d777201feee24adba8a', 674, '\xd7dada7d71398dd4edea50f0dbdfdaaf', 1769731200000000000, NULL, NULL, NULL);
INSERT INTO public.glomska_schema VALUES (4);
INSERT INTO public.horizons VALUES ('heat-co', 'telemetry', 650, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'billing', 578, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'identity', 0, 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\x459026df9d835e2545959f752605dd1c', 'heat-co', 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\xa4dd5f2d9efa91aaf42692c32338c1f5', 'heat-co', 1772323200000000000);
INSERT INTO public.keks VALUES ('heat-co', 1, '\x01ae23ea5793e2592b5875446689da4168b93b750c161ae2146c7cbf00be4eaa2080157887a1be6f340f79dd3d3a35ad7b5dc62ddd84a48a084a0da76c', 1772323200000000000);
INSERT INTO public.keys VALUES ('\xc47902cca86b48a80994bcd3a7ae6a72', '\x459026df9d835e2545959f752605dd1c', 'heat-co', 'billing', 1, 578, 1, '\x015a4c68aaa40bbd8e80e7c3870aa1f0893cc92bd94410be766ab15fa4694258e90e0880d3f78a70a4ca8a4faf33c87ff6edbac6ac9ad90c9896f962e6', '\x6cce614106ea1fec71db383b540acb1b108a5649affcede3276884d538c0e20f', 'active', 0);
INSERT INTO public.keys VALUES ('\xb3ef68d3e35d1ae97d26ff1854c54853', '\x459026df9d835e2545959f752605dd1c', 'heat-co', 'identity', 1, 0, 1, '\x0128b42c7491766a28b84728ed25ea7a1f78c08a78c60277d056138dd9b13a1378ac12de54e7c1fd900d83fd6dc22af4fa8e4ad7c459d35ad7348d547d', '\x1fac777751ff2fb0be4cdf79be41db57a0a6e2d4042bd1f0f5afffaa5ba813c3', 'active', 0);
INSERT INTO public.keys VALUES ('\xcd7dc37e2cc3a58f2493cfd6501b8add', '\x459026df9d835e2545959f752605dd1c', 'heat-co', 'telemetry', 1, 650, 1, '\x0147b59ddbf43fe109f5e58fcdd26a19ae7ae7fb4f573570965261d491a300082a9cdf2bb44b054908e2c205dc95822d2919aa9f3c210316f3c1c46d2f', '\x8f9ea4f553a67dd896026411ca5423b255bc1e732c49f2d7ca27cd85697c098f', 'active', 0);
INSERT INTO public.keys VALUES ('\x4cb1ce9d6eea16c0ea3f9b9e00eedba9', '\xa4dd5f2d9efa91aaf42692c32338c1f5', 'heat-co', 'billing', 1, 578, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\xbb1a2ea47e32cd86f2e04b7d4a55c922', '\xa4dd5f2d9efa91aaf42692c32338c1f5', 'heat-co', 'identity', 1, 0, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\x9b9e43a92c5fcc51d83c386eb2ec2d71', '\xa4dd5f2d9efa91aaf42692c32338c1f5', 'heat-co', 'telemetry', 1, 650, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.records VALUES ('\x355db00b4cce055f5fd4cbc7445adf9e', '\x459026df9d835e2545959f752605dd1c', 'identity', 1, 0, 'customer', '\x01182b94dba7f85147ddd027204ad793ecc5dacb990d944290a714b67df95376023bba6f893642b190362612fac5f992c73f923da5abc81ea18da82efb5e');
INSERT INTO public.records VALUES ('\x74ac55cca39a16ba6cabcb4434bca7bf', '\x459026df9d835e2545959f752605dd1c', 'identity', 1, 0, 'device', '\x01b6a26ff33784c99c3e9f3e2600c0471e88df34f6d74691b41ec8bc5495c94e166d3f0975ed17c3091a47986b7d72864a3735dccd78b4a0a792a96797d45ec0817f35f8c309b2cf64c6587570ed6d58f1d04f26359a78d6fe324e21c2c04e17acd92270aa56e51392fd');
INSERT INTO public.records VALUES ('\x2f5b69099e71c3722c830e0fd402f24b', '\x459026df9d835e2545959f752605dd1c', 'identity', 1, 0, 'choice', '\x01e62de501265a53e30e9627d94ce915e07d73751833b37e9a875657d970053c5c58fca048feb57dc649955bf8c68865429b35c0010da0312c333275eeb93209c45d77fb6dfb5c0979a13b58c01e3f02fd27127f05fb31b4f9e86dc390c3eeaf24677d5d23');
INSERT INTO public.records VALUES ('\xbddc14cface006a041d66422a576fc3b', '\x459026df9d835e2545959f752605dd1c', 'identity', 1, 0, 'device', '\x0174ce6bdf9393146f972f0caa846acc3dc4b2eb1e577f5ba0cdc4447b9a851e1415869dd6168720e2cf16444c47a384ef53be4f37beeb899689ceee942ef79ce723028adb4bc0bb7a138a0d1e1010f423316ca03882e90f39c62bfea83ab80a19f64ff819eeeea901fc');
INSERT INTO public.records VALUES ('\x7d21d350fcc885d8b7ae9f223dae8eb2', '\x459026df9d835e2545959f752605dd1c', 'identity', 1, 0, 'choice', '\x01142f4721a9af52305e30eda80309387235e16437199aeb9a2dbcaa22a38bbe3726fcbe7f129e3aa2d06308d9dc9aff771c0148d10c2db400fa775b99c4b0182705fd8522130eeb97dcb02ae9b96880c8b6cc699a5a9c36a5456a6d7a1f6140dbdb873162');
INSERT INTO public.routes VALUES ('\x374b0e3f4f299cfe51d79231bf7cf09b', 'heat-co', 'customer', '\xd6bd9285eaa71ad0da00d18653c1ceb1e87e1a3df1d2e9d22c9342cf49457abc', 1, '\x459026df9d835e2545959f752605dd1c', 'SE3', 0, NULL);
INSERT INTO public.routes VALUES ('\x1e59127405f18b15ca8908c291cd1627', 'heat-co', 'device', '\x1e6e46fcf292bf579a4787600aea8b6755670ec0c485d15751eda5a33347908b', 1, '\x459026df9d835e2545959f752605dd1c', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.routes VALUES ('\x95b8df14bbdaacc1c5735188ebb974a1', 'heat-co', 'device', '\x35497d4ab5525574740bab9110bdf89f911dc82a8dc89a14f6f11638362f16e2', 1, '\x459026df9d835e2545959f752605dd1c', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.secrets VALUES ('\xc2c9928e3bc840bf5137a28f4355a005', 'heat-co', 'route', 1, 1, '\x01d0732891ff682bc12f5090cbc46556142201f5fc9ed23c609bced9a3c2cf815ff5feb3e2cdcc0c469cc364b62f2026a49016e93cc708ed306bcf89ea', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x33184a2160700b5e1b9cfbc4a8be13f2', 'heat-co', 'fence', 674, 1, '\x01146526bc82a5caf3a27607481300be5769082a4e7842f5edb21e8e715556c2da550918a3f6049a29d2b92587f214bf235e95c6715472cf323017b2a9', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x50f120df733a3574ac4fd15bc67f9231', 'heat-co', 'purge', 0, 1, '\x01849b86f43b54c724c11371cf553136fd9b1b56010f841aef013b24687358b02d882b9a81b4a7b6374aad70d6d13bdd2c4399fa361ef56e31104972fb', 1772323200000000000);
INSERT INTO public.state VALUES (1, 2, '\xf05fbf4b99ce4241671bb30f234a254d', 9, '\x0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO public.transitions VALUES (1, '\xc47902cca86b48a80994bcd3a7ae6a72', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (2, '\xb3ef68d3e35d1ae97d26ff1854c54853', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (3, '\xcd7dc37e2cc3a58f2493cfd6501b8add', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (4, '\x4cb1ce9d6eea16c0ea3f9b9e00eedba9', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (5, '\xbb1a2ea47e32cd86f2e04b7d4a55c922', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (6, '\x9b9e43a92c5fcc51d83c386eb2ec2d71', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (7, '\x4cb1ce9d6eea16c0ea3f9b9e00eedba9', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (8, '\xbb1a2ea47e32cd86f2e04b7d4a55c922', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (9, '\x9b9e43a92c5fcc51d83c386eb2ec2d71', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (10, '\x4cb1ce9d6eea16c0ea3f9b9e00eedba9', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (11, '\xbb1a2ea47e32cd86f2e04b7d4a55c922', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (12, '\x9b9e43a92c5fcc51d83c386eb2ec2d71', 'destroyed', 1772323200000000000);
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
