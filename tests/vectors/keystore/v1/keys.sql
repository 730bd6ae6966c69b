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
CREATE TABLE public.controllers (
    controller text NOT NULL,
    current_e integer NOT NULL,
    created bigint NOT NULL
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
CREATE TABLE public.workers (
    worker bytea NOT NULL,
    boot text NOT NULL,
    generation bigint NOT NULL,
    lease bigint NOT NULL,
    deadline bigint NOT NULL,
    renewed bigint NOT NULL
);
ALTER TABLE ONLY public.accesses ALTER COLUMN seq SET DEFAULT nextval('public.accesses_seq_seq'::regclass);
ALTER TABLE ONLY public.acts ALTER COLUMN seq SET DEFAULT nextval('public.acts_seq_seq'::regclass);
ALTER TABLE ONLY public.state ALTER COLUMN one SET DEFAULT nextval('public.state_one_seq'::regclass);
ALTER TABLE ONLY public.transitions ALTER COLUMN id SET DEFAULT nextval('public.transitions_id_seq'::regclass);
INSERT INTO public.acts VALUES (1, 'enrol', 1772323200000000000);
INSERT INTO public.acts VALUES (3, 'enrol', 1772323200000000000);
INSERT INTO public.acts VALUES (5, 'erase', 1772323200000000000);
INSERT INTO public.controllers VALUES ('heat-co', 1, 1772323200000000000);
INSERT INTO public.erasures VALUES ('\x2be513c3e35ed109b1dcf17201a8fa5f', 'heat-co', '\xc88fab431b199fdae4e851f32257b260', 5, 'purged_once', 2, 1772323200000000000, 1772323200000000000, 1000001000000000, '6e9cfdf4-5d3c-4248-a8c0-672a6bc95cd5', '\x0e2b36a43f23789d09ef95de590d96a6', '\x01e3dc40e21ed1170faa8dbacc8046008ac1e5ac1c7d89709e25b7c4fc2f2afaf237a8adf32ce557239398b15fd496371b74c201b062a5a2b87b85a9b3e91da21e6b5cd968cdb033f956eab92b77fc8947f368bfc20b39e8f502d565023fd5f87785ba25937acbc87d90644d69f0c70f6ac77b0555c6dd17540836df858973fd4bbe3f84c50385871a2df79d6d203869735fd40735fa72cc240c917343c59f71389eb593d219e025f1fec8c48e2a2d2b3fd32ed14754e610bbde5b3d81e8671359cc3c49a2c29dcc223bad35178f2cf3c702f30eebd68c44f924feeb8617c4bdb9381244f2981b6cf2314bad9fc0099e4d681a6352caa16dd4efb106e5cae46e6cb9d1df2c3cd6fa78e899b851ed9bc19e478e8a73f1030ac771621c5392c364c94615b77a630c830d13c7c59f24fb61b6a4068940a0469c01cb1529a4f38801b81278e8673183db676547baf6c1c6ebebfbdbcec2b4fff34c4c69f5f6f90e72677f7be29d23e4df2729868d24134fe0f2a77785c7dc27a29871e6d2020ba2e9e20c08da46841fc82cf2741f5cecec13cbe0cd826fbc6878caac77dff86c32f0b90034cd38aa9ff60b3adaa38369120d874b03cd9f1c1115a38a0188c1fee646b343f5a3889cb5305834c2a522ea14aba01e5dda64d7d12cbfd673df49ec13fc8b1f65b403bb20c6f01590eb9b8c520665723cb05988fd6d5a523db3011ce75bdeee09149a1c9462b3e2ac464554aabb98fea2be2d7a667064d14bbe45c6deae404cd463de5ccc70fdc09ee2b26d3f886623bb9aeb9b0665991e0f28099b17a5dc324fdbb2fcd27474e0ce33fbacae7e40a55b16965cb483631c885bf8650e1dbff1ba8de5ae95fd6775bb7e11013b79146d9029e0645faa4cd7ac0383fa4c04018c5d2df76220e8e11c6cf25fde613b175c649fb34ab89efa939c43063fda3bb99d40d1ce6f852e97e96bed6d5e95088619f0cebc1ba82161c2febe611b2439f5c4480cd65b51948c58c327d6a9848118152f8f5938ed6634cc0f10a911fe3bf380c4165b9d558ce6d0d965b9c1963f8daa60d1382335799d1caea422bc38ef2b2349de4fff5b33cfca60ffabea2b29e776b52562926a35dc8f8845e96155632ffd4e13f25a9d40003488722cf71c1e149d0db05611ed81e476dcb75df29699c05bf10117ef73f9ec116db1e39fdc0d2833a46ea9e6cf1f689b9c5e57dc5fceaa71f2eac9f1153b7823e1ccc8b8641d079d2e0ac1de9a32acb0e539fc3fe11739ce768cd6902e7cc351b66b4c280318c4a302860d68807af37e7168e7425281493f647d3d3c41c098765af2c9d33120fd67d781d319f6cd99ac9e39abd8d8c451f4f1bff24adcccc818437290d57f7d9ef22fbb23722e6455398a2ca5f83ad06bd1d95bef53aa4457322121808289e775632da0075758c410a30448435d7a854a76c5331255530e6f604b286290889c3c1284974fc130a2d926aec77799df2b975d5edb7c77d53b7227996ea489b8a0e37ff538fac22ab2b57fd337835e5d4318f5640c51550c51ee2e0af54d8faf17e188c765e9a3ed17b2da55939ff40169c9c9f1c2027b0e425f9ecebd9626ad349174912edc75180085f514d59c9190257ce8d37da6df1a29b72905b80b763b7c0f2dbdd1a125314285fce664d022dbfe59fd19cda711344b1bf3177f90aa5c99cfdd2dfa766ce80720be34294999f0cfdd3880b6371064a5215b6db926c6b82a0f66b21ab7be5d8c92650183d4f03286f624adc95c67d47e0482140ff68ff3f6bc3c0cad89181b01ad09755309b4d5b71b197cf1f5f431df93b30d77064b9abda17e19ab59acf54c70616a15f058644b196a84e5b6b8c7eeb8cb057b1128c9e1b11111d371927399289ce2505974797da0c371a24aea36c006cc3b9c62c73bfa9f88cfae62b08339fda6764e19d1a914888d043788588416892f8d47e632fd7d0a741f57ccf95ab8a6e0e56f6ff5652673710e5e1c0ffdec97962ae35f2a901d2c948f0f242b8f569427b9eef76f5bdc494314bbcb778a06f81dcb1a5545b16325c3ee9e9cff147686b732e7db9d5089504df42113bc56c38a718f0006fefa8a5d6e82b8f87de9c16f0f1da7f06f1eb67b0a94964c579c042ef5b325eebb9f0d624de23e5000a0a7156abacbf47136e046c51df1c1ba8e011ec0d75e80dc17352c8fca92cd1db51b1d516271215904ab3572729aa8bcf841065ea768a56368fec228e20d0a07209a265d8caf5f1c2c100142fa133716c15983a8ba164ce57249f24bfee805a60031dc5680ed13595a5f50d516a6456ec84eb4f32f4c66c5378f71f0b914d962e7773dd26a86d33c20a68789bb7e0125d27c795e7d60a689161cf1da26c87e586d710597aa6225721a84a5db35fde862902c0ad59f89e7bfe7a0f801d8876953afdc105046e7c44af0161ea9ec90d07de1f0dfdfade09d5e94c60c59bdc7a2cdb9af8a1967130d2a0a125a831d51e5e334275c3128890155f3110dc8ad20617f1f4d578edb81652f71458d75ac7a363843e435ff40a05bf8e41a03e793e8fb42a67f1847ad106f3051eceab89401704f9e313164495aa843f728a596b8d2f2d21dd8a25e5dac954447424a316ce4f5b478b65de44180061e64a486754f85605be41fe9e3abb329c6ae755d60354caf7d268317a3df89a6adad67fa6c169a0b76b717ad1d6eb206a5e04416feac83ff0352bb9bb127ac346a93dbf1249fb65e643230b6ea29f0940299151e75fdf2b417175a77dfd49ece2d48888f2a41770cb83b9e2ec085464ced072bc3bc3070b340ecfa822b38d09e1c4ddcab7fd62a19501d8cf8fbe65f2ec318c0cd4ef848613d1980f6cd1e0f14ae28656e7c04c3ec713403dd766d868f1de0e347bd0d6d6fa125ab46e899ba27f66ff916eb4597c8728c78e3a57ebc634be81ffefa59ce3fcbd4a72bff4e9da039491394464b899d180418a4ac2f6cbd15eb01a3053a3d98186434dc2294d9dd8b4404d3255ca189ba9baf9d213e884503407894dbefce37ecf4317fd3c64539ed383afc01c94c2f7ad915a9c9d0a6888a9b963e68ec911b5f0df7618d7af540fd77c5a9c15af96139e67986830e3f2feca7b40f2613981a9b1d09fa0164c7cfa1eb1aeb692bbde6db34f4511454dd9955a27c34f44e8d5b598919e781b76b71933c89d7bb289aa2b581632cdb34433fedf02ecb2cb3ecf63ad692fd2dd9e9a107fb85a395d2f6e962a23fa1135a0fede09331ec3180b59502cd788d03975c9358448b9ec363307d8f2e6821c5eb336af8ca363daf5a60ea2af59ff5864cb8f9fc784631a887f264ece64a05fa0c5829ea2fe3a57ef353674e0282d26ef8147ef6a0e4bd87fde74965bad06c9d5a49d65cac5e40862d4bf9bde960057dd50d088cc79d88c06ba8058781c33ec89e2eea9f5b0bb665978bebeddafdb44b54ed7af0a7b2f426a4b34f8d7eb0d1b05f8313cbfb3c0e3d01b985431357350c3bba018ae099d1f476cdbd928cecc8cae2a0e8f711988493baf5e184418811a2ec15f8663ba5a39e26f009af80a6af36f77a6176f630d25546ed313672b208827f59f24416b80b7a002fe7095679cc3d193755a19f487ef3fdda58c8f91c876ed88afaaab80217bbf34fb4d81419859b93afb15680100bc362cb89e364156567035926d730dbba62a8df0f081f68649ba2a0647f744b2356372ce3b08047be4beacd0f23119a3c80b18b489ee1b33aab69026e71a6a42fd9f7d4ed24a1fe8cd2918b617668be4f423208fa8b08b0da3d987cfa48e32b62280a38555d3b57efcd686de72ea3c4decbeb5c00d288f94259b4816ac7a2a6610cfc88d60df8156425acfad108bba8425bd608fd5252b3acbac5eee29d087f6dc92db0a34eb9fe6ad454c5233ccae964214c5db751c28b274927b24155b3dd64c99efaf4cd6ba01a6d617c960e566ca4a8d6115987165cb1f43e9cb54a7f411b6063aa474461acfc11ed58a132dbe8204a5663dd38b46d2df2e082a96ba91b0e139b745c90b8edb2c74272d30ebb347f9acad22790017065dd8ef2448b8608098acdb28330e81567f54419516c6a61aaa9aa1754876538441ebd6e45b82ca2e82d2be049e18946098fe4721dbd25d4f402a756b63b3594ab49b40e69b42ee4fb1e0cd260b5531e138035f4fb458cad84f35561f4207cd617b58afa2a95664062f2954451a2315134a8a090602e246278e9727ffe918d7a31b47acc1c315b6dc8bcb04ef34814321cca3e3f8112630f277df7fbfb08f6cc09d4b1417eef2a932aec791ac4cca708b661cc9e001ef9f5165694bf0db5d13e9256f0ff7a5af9a500a471690d282e13f9f1d0dbf1bdaffde904081ca642baf9a7f4d5117482437652a480d72017949ecb212c88725ecb7f9a5b6e211eacb5a41a171ff2c9a460f02b7b91f54546d3a7b18e61b07a18ab792dbfeb3b63f9a053096abe570feab3403b6b5af1149b03b9170b23c2e217908ce17959bb714ed464e0168b7587509a11f646d6ac5967dc7d5c03f510fe9e1815134178a1b04ce9bfe0a7175aad3c18bfb8b4872490e714501126da7aee138257fffaa68bc2c69ebc05ea3b2d0d3b53f4c0d8e4c51dab68465269c21c43b99b85dd71f1c5201e5bbf11f6c76111be623ed845511ad414bd11f8a723e71217276f273860c90278a71531993bcc734ba9facd239d5d2f2852e08628d4c142115d4934f88e0244d4e648219aee0802ee8ff00fdd4589a39947bc491b80870a64128c8150f460267c61ca66cac15599fdcf17a8bd259e90a281b54bf6c19b317242f12b6827624df6a8c5a65b2d5d4d5e8e9b697308223bf21d42989688a69f413330b35164e5be033ecc24b512d4ba28d3e8dd0df880960c7062d1d1638072fcac2d59297846b72568d6f6451f68316f8f24984575ff5a1d3c45a324959d6a8ed2a52165f86e86f41c56292eadf2d360e0ca7a371eec0527d8ca05cf983bf9341fa6635d670b77b8789e431767c27c5ebc5db408e54597cdd4555c667158172883ad5e36be7c6c01d43835efc6e9279d83bc5d4e5f6ea60f4f0472321210e1e52c2fcf4a78e769b9c53a367357c166642444c9e0d3438baade0510a181d8148bddc143e8afbd6c8cae6592530f49b0c2166cfb5506be0d7fcfcd7881f174e902d1b5aaf39b9f4c1f8b391a1ec062fae4c4eabfa56c7e8eb3c1b495b5f57ea115f34f6a3b284dbf693cc897117d14fcbd70061b9937f1530ff3fa6fb14ff07722544683470d169af47d084a84f8fc810ec548d228a351a779efae7b6224e3c7aa5e0297f34596d881822047c4456ebe8cb3248f3918969744be85814f4b427a5bf6d4b330ebbf8b7258f0f182387799149873a955036e83695cf5c4e2db3bb7f842f33a8eebca134d142b56710c321a21f5603462a169c2a01575ab1b69008001f8fa69e458aeab434d8351381fa7de3859c719186c78002643b1e9cc239dd669ae5f735ba5ce70c85123ddd410738be0c7e9557b63742e0d5391406d35735a10ce57a407702a717f58755e4e63d1f78f2326eeafc91283', 1, NULL);
INSERT INTO public.fences VALUES ('\x1155623f9fecf1d7a73aae389b1c997e', 'heat-co', 'customer', '\x0a7d8862bc99a0b82e9881134a52f48d4fc09eab98a36648bf3f44221506e3b2', 674, '\x2be513c3e35ed109b1dcf17201a8fa5f', 0, NULL, NULL);
INSERT INTO public.fences VALUES ('\x3574c7f3d1fcc5282ae2bb39bbfba25a', 'heat-co', 'device', '\x29b05943870a6df8fdd57393699843db28c9c07efcd9e696fa9c48ebf87d6ba6', 674, '\x2be513c3e35ed109b1dcf17201a8fa5f', 1769731200000000000, NULL, NULL);
INSERT INTO public.glomska_schema VALUES (1);
INSERT INTO public.horizons VALUES ('heat-co', 'telemetry', 650, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'billing', 578, 1772323200000000000);
INSERT INTO public.horizons VALUES ('heat-co', 'identity', 0, 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\xfc80ca775faeddf13243ed6b318eb569', 'heat-co', 1772323200000000000);
INSERT INTO public.incarnations VALUES ('\xc88fab431b199fdae4e851f32257b260', 'heat-co', 1772323200000000000);
INSERT INTO public.keks VALUES ('heat-co', 1, '\x01269ce1ce1cc0343899310d59fe8bfa3811c10d326aaa9691ce46c203c492d9cc5ba4a5bb3fd82b1813555b16f96d16cf88ba7a3efcf1bf01cb8fbb41', 1772323200000000000);
INSERT INTO public.keys VALUES ('\xf2da967e72b66d02076597daf3235ff4', '\xfc80ca775faeddf13243ed6b318eb569', 'heat-co', 'billing', 1, 578, 1, '\x0180f46642f03418be52690bbfce838b7fc778d452f421cce9d46548675fd03809fa818e08d836f6b4f7a5cae9364b3918737288d142d5449bf918d282', '\x1afd7d6d4a95390adbaa9d522d091404f9beae57fd677ae9fd645d8b1d6a65a8', 'active', 0);
INSERT INTO public.keys VALUES ('\x344a6ff37c97ed248f8901354183c0f5', '\xfc80ca775faeddf13243ed6b318eb569', 'heat-co', 'identity', 1, 0, 1, '\x0182ae2939ae983c7943c57247e5e745d554d0f40013f1522abb01ad1bfa962858ca96c0804380c157b68fb8a49bfedc5b82031c99ec59d1694b334cb1', '\x59e069e248e477d9fa550ff7a39b631db683ae9c7555ac66fd27bd2bcc7e9173', 'active', 0);
INSERT INTO public.keys VALUES ('\x21ab2008310b7e7e345b9c992fb9dffc', '\xfc80ca775faeddf13243ed6b318eb569', 'heat-co', 'telemetry', 1, 650, 1, '\x0178d5ce83bd311788d2bca8b8f4806b7052ff18d6e41f5f2b185e6b82369ecf7e4cd02e50f79d0f461161a288c766d108b925f238a0d005384fc3243f', '\x8b8761d9fbdf6497a55ca7e7da07f4711baae9e0aeedc458b738fbd1f28578ff', 'active', 0);
INSERT INTO public.keys VALUES ('\x3268df480098aa97dc706fb69976c22a', '\xc88fab431b199fdae4e851f32257b260', 'heat-co', 'billing', 1, 578, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\x6fad6030663215f975b1d745a3fd1e72', '\xc88fab431b199fdae4e851f32257b260', 'heat-co', 'identity', 1, 0, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.keys VALUES ('\x18ce22eca038af929cf29b4e1dad8e87', '\xc88fab431b199fdae4e851f32257b260', 'heat-co', 'telemetry', 1, 650, 1, NULL, NULL, 'destroyed', 0);
INSERT INTO public.records VALUES ('\xae954e9b9925459c80c14749b84238d0', '\xfc80ca775faeddf13243ed6b318eb569', 'identity', 1, 0, 'customer', '\x015b82bf0bcb8eff52e5e1dc96044cf4e2fdb8fdccb659e70bfcc980f03dcaf17d9cf5e7304a20283dd302773a2a426e577174459f964df8d15a8eb5a6f7');
INSERT INTO public.records VALUES ('\xa25f28fcc118cc36b4cd2db238b455f1', '\xfc80ca775faeddf13243ed6b318eb569', 'identity', 1, 0, 'device', '\x01209ee1af66b2ff3cdbead739cd77df4fd4aae40ddf55517c11c1d5c3233e61dcbcceb5e8a16b6491eb40b5ea43e698b03f33e253a46de682abdb47056472103df1d05971b233d600d5b686a0951c9dc27e74c577f5172e0f92a679463a745102bb5bd917ecc878ab85');
INSERT INTO public.records VALUES ('\xaba4773912156e943ea1fe8454ab0e80', '\xfc80ca775faeddf13243ed6b318eb569', 'identity', 1, 0, 'choice', '\x01bd27b00e643c463b17146fee977bf115878c72a53b3df7fc58bfe6b046e3bac1b3054f3df088d941f8780810bee6bdd18350354ac4b5adebb3bc45b53e6d3e70bc1301bfd0bbbe92e010034427a95d8e99ad7483883cc3c84904c2bab51e94de911ac05e');
INSERT INTO public.records VALUES ('\x2c8141abbbd407c07128ee34a68671b0', '\xfc80ca775faeddf13243ed6b318eb569', 'identity', 1, 0, 'device', '\x01985abbf4add61536a84156b098ca855c29d5d257a44db8e63065ecd929efc22dea4cb83ecc3d032adb00f3644de387eca7fb3bb4260e72ec665bd687e947ca7808bfb6bef821c009ff6cde9aa660df93b8553ada8a240d133baeab44b1f32086492af44cbea00ae9b1');
INSERT INTO public.records VALUES ('\xa91c4255967b661d6b88ac79c9776311', '\xfc80ca775faeddf13243ed6b318eb569', 'identity', 1, 0, 'choice', '\x01ff8aff41227eb0009b4e2874cd2f4c37e93f2301779ec405e2bb0d3d67bc531a49dc814661e42795523819f84834e049fda955a1d4316fb65654a595f222f6669941ae5c54b1235e2de97634fe313f8844485165bf7e308496cd5d4dfc6bd90552a1a95f');
INSERT INTO public.routes VALUES ('\xb1059e2e3b7f482b95266d4fd581774a', 'heat-co', 'customer', '\x5fb25ed9ea5fc7583a8fd802b8aa5f81fec7ba47047838caea5bba0fe82ea0dd', 1, '\xfc80ca775faeddf13243ed6b318eb569', 'SE3', 0, NULL);
INSERT INTO public.routes VALUES ('\x3591b1df953b9dc4e1e2c49244d5cfd8', 'heat-co', 'device', '\x2d3457c2d517424b3dbf7f70e28ae519b54181a33295d66dcce56e610441413c', 1, '\xfc80ca775faeddf13243ed6b318eb569', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.routes VALUES ('\x058ace012e566507ec7c52487136fcd2', 'heat-co', 'device', '\x9d8b9c5e7a150d504266d6deb48139e2de5a0c008b7e37f1746eb147d96b9d08', 1, '\xfc80ca775faeddf13243ed6b318eb569', 'SE3', 1769731200000000000, NULL);
INSERT INTO public.secrets VALUES ('\x2dff53cc47802018e1c726e0c2f8b9b8', 'heat-co', 'route', 1, 1, '\x01aeeefe777e94e673c2341566c1a58c55326cf030b9353d56bc611b39633ff61ed83e78b32399013f88da5dd40afb521b6f056de12bbf62c683619a06', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x090db3ee48e38d6514547b3d0bb9c6f7', 'heat-co', 'fence', 674, 1, '\x01eda64dd838db379832829a8ee092283b772e05e6ea5909b3b5d511e667f97a43af43b82cc455f2ebe70c9e88c1237fa886aa2f2c3bf08b848c25dfed', 1772323200000000000);
INSERT INTO public.secrets VALUES ('\x0e2b36a43f23789d09ef95de590d96a6', 'heat-co', 'purge', 0, 1, '\x01ffbd68feb10af031af1d7d53b59efe5f799e68c7e750eb38c5ebb05d2f4c15be0b547cfcdd8e3f530e7f6d6d3097b8a7293532db3e55b648b5e2da57', 1772323200000000000);
INSERT INTO public.state VALUES (1, 2, '\x6fe96476c80e237937cf0e995889dde0', 6, '\x0000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO public.transitions VALUES (1, '\xf2da967e72b66d02076597daf3235ff4', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (2, '\x344a6ff37c97ed248f8901354183c0f5', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (3, '\x21ab2008310b7e7e345b9c992fb9dffc', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (4, '\x3268df480098aa97dc706fb69976c22a', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (5, '\x6fad6030663215f975b1d745a3fd1e72', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (6, '\x18ce22eca038af929cf29b4e1dad8e87', 'active', 1772323200000000000);
INSERT INTO public.transitions VALUES (7, '\x3268df480098aa97dc706fb69976c22a', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (8, '\x6fad6030663215f975b1d745a3fd1e72', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (9, '\x18ce22eca038af929cf29b4e1dad8e87', 'erasing', 1772323200000000000);
INSERT INTO public.transitions VALUES (10, '\x3268df480098aa97dc706fb69976c22a', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (11, '\x6fad6030663215f975b1d745a3fd1e72', 'destroyed', 1772323200000000000);
INSERT INTO public.transitions VALUES (12, '\x18ce22eca038af929cf29b4e1dad8e87', 'destroyed', 1772323200000000000);
SELECT pg_catalog.setval('public.accesses_seq_seq', 1, false);
SELECT pg_catalog.setval('public.acts_seq_seq', 1, false);
SELECT pg_catalog.setval('public.state_one_seq', 1, false);
SELECT pg_catalog.setval('public.transitions_id_seq', 12, true);
ALTER TABLE ONLY public.accesses
    ADD CONSTRAINT accesses_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.acts
    ADD CONSTRAINT acts_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.controllers
    ADD CONSTRAINT controllers_pkey PRIMARY KEY (controller);
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
ALTER TABLE ONLY public.records
    ADD CONSTRAINT records_pkey PRIMARY KEY (record_id);
ALTER TABLE ONLY public.routes
    ADD CONSTRAINT routes_pkey PRIMARY KEY (route_id);
ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY public.state
    ADD CONSTRAINT state_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (worker);
CREATE INDEX ix_fences_hash ON public.fences USING btree (hash);
CREATE INDEX ix_records_incarnation ON public.records USING btree (incarnation);
CREATE INDEX ix_routes_hash ON public.routes USING btree (hash);
CREATE INDEX ix_routes_incarnation ON public.routes USING btree (incarnation);
CREATE INDEX ix_transitions_key_id ON public.transitions USING btree (key_id);
CREATE INDEX secrets_by_kind ON public.secrets USING btree (controller, kind, version);
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
